/* A subcommand: one function, one line in include/photonet/commands.def. It parses its own arguments with argp, prints its
 * result to stdout and returns a status; only main prints the diag and exits. */
#ifndef PHOTONET_COMMAND_H
#define PHOTONET_COMMAND_H

#include "photonet/status.h"

struct command {
    const char *name;
    const char *summary;
    enum status (*run)(int argc, char **argv, struct diag *diag); /* argv[0] is "photonet NAME" */
};
extern const struct command commands[]; /* ends with name == NULL */

#define COMMAND(name_, summary_) enum status command_##name_(int argc, char **argv, struct diag *diag);
#include "photonet/commands.def"
#undef COMMAND

/* The version, commit, compiler and flags that this binary was made of. */
extern const char photonet_version[];
extern const char photonet_commit[];
extern const char photonet_compiler[];

#endif
