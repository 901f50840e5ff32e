// Everything that needs no particular device: core, layers, losses, models, optimizers.
#pragma once

#include "albef/core/context.hpp"
#include "albef/loss/sigmoid.hpp"
#include "albef/models/albef.hpp"
#include "albef/nn/rms_norm.hpp"
#include "albef/ops/sequences.hpp"
#include "albef/optim/adamw.hpp"
#include "albef/optim/groups.hpp"
#include "albef/optim/schedule.hpp"
#include "albef/tasks/pretrain.hpp"
