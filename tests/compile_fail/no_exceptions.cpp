// expect: albef reports failures by exceptions: compile without -fno-exceptions
// flags: -fno-exceptions
#include "albef/core/error.hpp"
