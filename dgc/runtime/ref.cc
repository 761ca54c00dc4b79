#include "dgc/runtime/ref.h"

#include "dgc/runtime/engine.h"

namespace dgc {

absl::Status Ref::status() const {
  if (handle_ == nullptr) return absl::FailedPreconditionError("the Ref is empty");
  if (handle_->engine == nullptr) return handle_->refused;
  return handle_->engine->StatusOf(handle_->target);
}

bool Ref::assured() const { return *this && handle_->engine->Assured(handle_->target); }

WireRef Ref::Describe() const {
  if (!*this) return {};
  return handle_->engine->Describe(handle_->target);
}

void Ref::LastDropped(internal::Handle* handle) {
  const std::unique_ptr<internal::Handle> owned(handle);
  if (handle->engine != nullptr) handle->engine->Drop(handle->target);
}

}  // namespace dgc
