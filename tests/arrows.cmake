# Which room of include/albef may include which: the arrows that tests/cmake/check_arrows.cmake checks.
# A room is a folder, or the umbrella header beside it (cpu.hpp belongs to cpu; albef.hpp is a room of
# its own). Within a room everything may include everything, without cycles.
set(rooms core ops nn loss models tasks text data checkpoint optim train viz cpu cuda testing albef)

# Rooms that a room may include, all of them.
set(room_core "")
set(room_ops core)
set(room_nn core ops)
set(room_loss core ops nn)
set(room_models core ops nn loss)
set(room_tasks core ops nn loss models text data checkpoint optim train)
set(room_text core)
set(room_data core text)
set(room_checkpoint core)
set(room_optim core)
set(room_train core optim text checkpoint)
set(room_viz core data models tasks text train) # what it draws
set(room_cpu core)
set(room_cuda core)
set(room_testing core ops optim)
set(room_albef core ops nn loss models optim)

# Single headers that a room, or one header, may include besides: the plain batches that a host hands
# to a model, and the umbrella headers.
set(also_models text/batch.hpp data/pair_batch.hpp data/task_batch.hpp)
set(also_albef.hpp tasks/pretrain.hpp)
set(also_cpu.hpp albef.hpp)
set(also_cuda.hpp albef.hpp)
set(also_cuda.cuh albef.hpp)

# Arrows that stand today against the rules, as "from to"; each must go, so none is best. One that is
# gone and still listed here is an error, too.
set(exceptions "")
