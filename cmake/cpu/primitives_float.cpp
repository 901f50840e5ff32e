// The CPU backend compiled for activations of type float.
#include "albef/core/compile_primitives.hpp"
#include "albef/cpu/primitives.hpp"

template struct albef::CompiledPrimitives<albef::Cpu, albef::Primitives<float>>;
