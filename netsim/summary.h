/* A summary for people and for programs. */
#ifndef PHOTONET_SUMMARY_H
#define PHOTONET_SUMMARY_H

#include "photonet/results.h"

#include <jansson.h>
#include <stdio.h>

/* The figures that an architect looks at first, a few lines. */
void summary_print(const struct result_summary *summary, FILE *stream);

/* All columns under their names. */
json_t *summary_json(const struct result_summary *summary);

#endif
