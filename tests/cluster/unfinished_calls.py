"""Calls whose messages never end: what a hostile caller makes a server keep."""

import socket
import struct

import h2.connection
import h2.events
import h2.exceptions

# Nothing more can be sent when the server has been silent for so long, in seconds.
SILENCE = 2


class UnfinishedCalls:
    """One connection with calls that each send a message of `size` bytes, all but the last byte."""

    def __init__(self, address, path, count, size):
        host, port = address.split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        self._http = h2.connection.H2Connection()
        self._http.initiate_connection()
        self._left = {}  # {call: bytes to send}
        self.sent = 0
        # The server says how many calls it takes.
        self._heed(self._socket.recv(1 << 16))
        self._socket.settimeout(SILENCE)
        for _ in range(count):
            call = self._http.get_next_available_stream_id()
            self._http.send_headers(call, [
                (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", host),
                ("te", "trailers"), ("content-type", "application/grpc")])
            self._http.send_data(call, struct.pack(">BI", 0, size))
            self._left[call] = size - 1

    def send_all(self):
        """Sends until all is sent, or the server ends the calls or takes no more."""
        try:
            while self._left:
                self._send_what_may_be_sent()
                self._heed(self._socket.recv(1 << 16))
        except (OSError, h2.exceptions.ProtocolError):
            pass

    def close(self):
        self._socket.close()

    def _send_what_may_be_sent(self):
        for call, left in list(self._left.items()):
            while (size := min(left, self._http.local_flow_control_window(call),
                               self._http.max_outbound_frame_size)) > 0:
                self._http.send_data(call, bytes(size))
                left -= size
                self.sent += size
            self._left[call] = left
            if left == 0:
                del self._left[call]
        self._socket.sendall(self._http.data_to_send())

    def _heed(self, data):
        if not data:
            raise ConnectionResetError
        for event in self._http.receive_data(data):
            if isinstance(event, (h2.events.StreamReset, h2.events.StreamEnded)):
                self._left.pop(event.stream_id, None)
            elif isinstance(event, h2.events.ConnectionTerminated):
                raise ConnectionResetError
