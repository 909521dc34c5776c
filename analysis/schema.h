/* The description of the result file. */
#ifndef PHOTONET_ANALYSIS_SCHEMA_H
#define PHOTONET_ANALYSIS_SCHEMA_H

#include <stdio.h>

void schema_print(FILE *out);

#endif
