// The case of every primitive: what it must compute, by plain loops in double, and operands to try
// it with. A primitive of core/primitives.hpp without one does not compile.
#pragma once

#include "primitives/attention.hpp"
#include "primitives/convolution.hpp"
#include "primitives/elementwise.hpp"
#include "primitives/images.hpp"
#include "primitives/losses.hpp"
#include "primitives/norm.hpp"
#include "primitives/optimizer.hpp"
#include "primitives/products.hpp"
#include "primitives/tokens.hpp"
