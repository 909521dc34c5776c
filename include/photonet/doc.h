/* A YAML (or JSON, its subset) document as a tree that remembers where every piece stood.
 *
 * Anchors and aliases are expanded within a bound (so that a small file cannot become a large tree); a key
 * given twice in one map is refused. Lives in the arena it was read into. */
#ifndef PHOTONET_DOC_H
#define PHOTONET_DOC_H

#include "photonet/arena.h"
#include "photonet/status.h"

enum doc_kind { DOC_SCALAR, DOC_MAP, DOC_LIST };

struct doc {
    enum doc_kind kind;
    struct origin at;
    const char *key;         /* the key under which this stands in a map, else NULL */
    const char *text;        /* scalar, else NULL */
    const struct doc *child; /* first child of a map or list, in file order */
    const struct doc *next;  /* next sibling */
    uint32_t child_count;
};

/* Depth at most 64, nodes at most 4 Mi. An empty file is an empty map. */
enum status doc_load(const char *path, struct arena *arena, const struct doc **root, struct diag *diag);
enum status doc_parse(const char *text, size_t length, const char *path, struct arena *arena,
                      const struct doc **root, struct diag *diag);

const struct doc *doc_get(const struct doc *map, const char *key); /* NULL where absent or not a map */

#endif
