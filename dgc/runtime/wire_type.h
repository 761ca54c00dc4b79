// WireType: the name under which objects of a C++ type travel (dgc.v1.Ref.type).
//
//     class Upload {
//      public:
//       static constexpr std::string_view kWireType = "upload";   // optional
//
// Without kWireType it is the C++ name ("uploads::Upload"), which the compilers of one ABI agree
// on.  Export and Share take another name where one C++ type stands for several kinds.  In one
// process a name belongs to one C++ type, the first that used it, until nothing has that name any
// more: so a check of the name is a check of the type.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>

namespace dgc {

namespace internal {
// "uploads::Upload", cut to what a Ref can carry.
std::string Demangle(const std::type_info& type);

template <typename T, typename = void>
struct HasWireType : std::false_type {};
template <typename T>
struct HasWireType<T, std::void_t<decltype(T::kWireType)>> : std::true_type {};
}  // namespace internal

template <typename T>
std::string_view WireType() {
  if constexpr (internal::HasWireType<T>::value) {
    return T::kWireType;
  } else {
    static const std::string name = internal::Demangle(typeid(T));
    return name;
  }
}

}  // namespace dgc
