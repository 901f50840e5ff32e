// expect: WidthOfHeads<48, 5>
#include "albef/nn/attention.hpp"

constexpr albef::VitAttention<48, 5> attention{albef::init::zeros()};
