// expect: Context: the device lacks some of the primitives of core/primitives.hpp
#include "albef/core/context.hpp"

struct Toaster {};

albef::Context<Toaster>* context = nullptr;
static_assert(sizeof(*context) > 0);
