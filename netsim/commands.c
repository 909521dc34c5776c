/* The table of subcommands. */
#include "photonet/command.h"

#include <stddef.h>

#define COMMAND(name_, summary_) enum status command_##name_(int argc, char **argv, struct diag *diag);
#include "netsim/commands.def"
#undef COMMAND

const struct command commands[] = {
#define COMMAND(name_, summary_) {#name_, summary_, command_##name_},
#include "netsim/commands.def"
#undef COMMAND
    {NULL, NULL, NULL},
};
