/* The description of the result file. */
#ifndef PHOTONET_ANALYSIS_SCHEMA_H
#define PHOTONET_ANALYSIS_SCHEMA_H

#include "photonet/status.h"

#include <stdio.h>

void schema_print(FILE *out);

enum status command_schema(int argc, char **argv, struct diag *diag);

#endif
