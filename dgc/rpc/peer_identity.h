// PeerIdentity: who the transport says is calling, as one text.
//
// With mutual TLS: the names in the certificate, and not the certificate, so that the identity
// outlives its rotation.  A pure function; safe anywhere.
#pragma once

#include <grpcpp/security/auth_context.h>

#include <string>

namespace dgc {

// The property that gRPC takes for the peer's identity, and all its values; they are delimited, so
// that different identities are different texts.  Their order does not matter.  For a certificate
// that is the subject alternative names, or the common name if it has none; but where one of them
// is a SPIFFE id, that id alone, which is what names a workload while the others come and go.
// Empty if the peer is not authenticated.
std::string PeerIdentity(const grpc::AuthContext& context);

}  // namespace dgc
