// Every header in two translation units of one program: what is not inline fails to link.
#include "all_headers.hpp"

int two();

int main() { return two(); }
