/* The command lines of the analysis commands. */
#ifndef PHOTONET_ANALYSIS_ARGUMENTS_H
#define PHOTONET_ANALYSIS_ARGUMENTS_H

#include "photonet/status.h"

#include <argp.h>
#include <stdbool.h>

/* argp_parse that neither prints errors nor exits: what is wrong goes to diag, as STATUS_USAGE, unless the
 * parser has written there itself before it returned EINVAL. *is_done where --help was asked for and has been
 * printed. */
enum status arguments_parse(const struct argp *argp, int argc, char **argv, void *input, bool *is_done,
                            struct diag *diag);

#endif
