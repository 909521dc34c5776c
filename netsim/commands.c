/* The table of subcommands. */
#include "photonet/command.h"

#include <stddef.h>

const struct command commands[] = {
#define COMMAND(name_, summary_) {#name_, summary_, command_##name_},
#include "photonet/commands.def"
#undef COMMAND
    {NULL, NULL, NULL},
};
