#include "dgc/rpc/peer_identity.h"

#include <grpc/grpc_security_constants.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace dgc {
namespace {

// Length, colon, text: can be told from whatever follows.
void Append(absl::string_view part, std::string* text) {
  absl::StrAppend(text, part.size(), ":", part);
}

}  // namespace

std::string PeerIdentity(const grpc::AuthContext& context) {
  std::string text;
  if (!context.IsPeerAuthenticated()) return text;
  std::string property = context.GetPeerIdentityPropertyName();
  std::vector<grpc::string_ref> values = context.GetPeerIdentity();
  if (property == GRPC_X509_SAN_PROPERTY_NAME) {
    auto spiffe = context.FindPropertyValues(GRPC_PEER_SPIFFE_ID_PROPERTY_NAME);
    if (!spiffe.empty()) {
      property = GRPC_PEER_SPIFFE_ID_PROPERTY_NAME;
      values = std::move(spiffe);
    }
  }
  std::sort(values.begin(), values.end());
  Append(property, &text);
  for (const grpc::string_ref& value : values) Append({value.data(), value.size()}, &text);
  return text;
}

}  // namespace dgc
