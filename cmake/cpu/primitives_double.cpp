// The CPU backend compiled for activations of type double.
#include "albef/core/compile_primitives.hpp"
#include "albef/cpu/primitives.hpp"

template struct albef::CompiledPrimitives<albef::Cpu, albef::Primitives<double>>;
