// golden_check CASE_DIR...: runs golden cases and prints one line per compared tensor or group.
// Exit status 0 if all hold, 1 if one does not or a case is damaged, 2 for a kind it does not know.
#include "support/golden_check.hpp"

#include "albef/cpu.hpp"

int main(int argc, char** argv) {
  // A further configuration is one more type here.
  return albef::golden_check_main<albef::Cpu, albef::Nano, albef::DinoNano>(argc, argv);
}
