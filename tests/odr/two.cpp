// The second translation unit; see one.cpp.
#include "all_headers.hpp"

int two();
int two() { return 0; }
