/* Reader of GOAL schedules in text: the group operation assembly language of LogGOPSim and ATLAHS.
 *
 *     num_ranks 2
 *     rank 0 {
 *     l1: calc 1000 cpu 1                       nanoseconds
 *     l2: send 65536b to 1 tag 5 cpu 0 nic 0
 *     l2 requires l1                            l2 begins when l1 has ended; irequires: has begun
 *     }
 *     rank 1 { ...
 *
 * Scope: the grammar of LogGOPSim's txt2bin: labels are of their rank, stand before their use, and a label
 * given twice keeps its first meaning; comments in both styles of C; sizes of 64 bits. A cpu is a stream (cpu
 * 0 the compute stream, so only its calcs are compute time), irequires is explained in goal.h. Not modelled:
 * LogGOPS's o, g and O, the time for which a message occupies a cpu; more than one network interface a rank;
 * wildcards (-1) of tags and sources, which are refused by name: what they match would depend on the network.
 * Sizes of a send and its receive must agree, which LogGOPSim does not ask for. A send ends when it is
 * acknowledged, where LogGOPSim ends one of at most S bytes as it is issued.
 * Checked against: the samples of spcl/LogGOPSim and hand-made files, text against binary, in
 * tests/test_goal.c. */
#include "traces/flow_list.h"
#include "traces/goal.h"
#include "traces/text_lines.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Labels of one rank: open addressing, node + 1, 0 = free. */
struct labels {
    uint32_t *slot;
    size_t count, capacity;
};

struct reading {
    struct text_lines lines;
    struct arena *arena; /* of the job */
    struct arena *rank_arena;
    struct diag *diag;
    struct job_builder *builder;
    uint32_t rank_count, rank_next;
    bool is_in_comment, is_in_rank;
    struct goal_rank rank;
    struct labels labels;
    struct goal_counts counts;
};

/* ---- labels ------------------------------------------------------------------------------------------ */

static size_t label_slot(const struct reading *reading, const char *label)
{
    const struct labels *labels = &reading->labels;
    size_t mask = labels->capacity - 1, at = (size_t)XXH3_64bits(label, strlen(label)) & mask;
    while (labels->slot[at] != 0 && strcmp(reading->rank.nodes[labels->slot[at] - 1].name, label) != 0) {
        at = (at + 1) & mask;
    }
    return at;
}

static void labels_grow(struct reading *reading)
{
    struct labels *labels = &reading->labels, old = *labels;
    labels->capacity = old.capacity == 0 ? 64 : 2 * old.capacity;
    labels->slot = arena_array(reading->rank_arena, labels->capacity, uint32_t);
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slot[i] != 0) {
            labels->slot[label_slot(reading, reading->rank.nodes[old.slot[i] - 1].name)] = old.slot[i];
        }
    }
}

/* Gives the last node its label, which keeps its first meaning. */
static void label_add(struct reading *reading)
{
    struct labels *labels = &reading->labels;
    if (2 * (labels->count + 1) > labels->capacity) {
        labels_grow(reading);
    }
    uint32_t node = (uint32_t)reading->rank.node_count - 1;
    size_t slot = label_slot(reading, reading->rank.nodes[node].name);
    if (labels->slot[slot] == 0) {
        labels->slot[slot] = node + 1;
        labels->count++;
    }
}

static enum status label_find(struct reading *reading, const char *label, uint32_t *node)
{
    uint32_t found = 0;
    if (label != NULL && reading->labels.capacity > 0) {
        found = reading->labels.slot[label_slot(reading, label)];
    }
    if (found == 0) {
        return text_refuse(&reading->lines, reading->diag,
                           "label \"%.80s\" stands nowhere before; expected one of rank %u",
                           label == NULL ? "" : label, reading->rank_next);
    }
    *node = found - 1;
    return STATUS_OK;
}

/* ---- statements -------------------------------------------------------------------------------------- */

static enum status statement_refuse(struct reading *reading, const char *what, const char *word)
{
    return text_refuse(&reading->lines, reading->diag, "%s, not \"%.60s\"", what, word == NULL ? "" : word);
}

static bool any_or_u32(const char *word, uint32_t *value)
{
    if (word != NULL && strcmp(word, "-1") == 0) {
        *value = GOAL_ANY;
        return true;
    }
    return text_u32(word, value);
}

/* tag T, cpu C and nic K behind an operation. */
static enum status options_read(struct reading *reading, char **cursor, struct goal_node *node)
{
    for (char *key; (key = text_word(cursor)) != NULL;) {
        const char *word = text_word(cursor);
        uint32_t value;
        if (!any_or_u32(word, &value)) {
            return statement_refuse(reading, "expected a number behind tag, cpu or nic", word);
        }
        bool is_tag = strcmp(key, "tag") == 0, is_cpu = strcmp(key, "cpu") == 0;
        if (node->kind == GOAL_CALC ? !is_cpu : !is_tag && !is_cpu && strcmp(key, "nic") != 0) {
            return statement_refuse(reading,
                                    node->kind == GOAL_CALC ? "expected `calc TIME [cpu C]`"
                                                            : "expected [tag T] [cpu C] [nic K]",
                                    key);
        }
        if (is_tag) {
            node->tag = value;
        } else if (value > UINT8_MAX) {
            return statement_refuse(reading, "expected a cpu or nic up to 255", word);
        } else {
            *(is_cpu ? &node->cpu : &node->nic) = (uint8_t)value;
        }
    }
    return STATUS_OK;
}

static enum status message_read(struct reading *reading, char **cursor, struct goal_node *node)
{
    bool is_send = node->kind == GOAL_SEND;
    const char *expected = is_send ? "expected `send SIZEb to RANK`" : "expected `recv SIZEb from RANK`";
    char *size = text_word(cursor);
    size_t length = size == NULL ? 0 : strlen(size);
    if (length < 2 || size[length - 1] != 'b') {
        return statement_refuse(reading, expected, size);
    }
    size[length - 1] = '\0';
    if (!text_u64(size, &node->size)) {
        size[length - 1] = 'b';
        return statement_refuse(reading, expected, size);
    }
    const char *word = text_word(cursor);
    if (word == NULL || strcmp(word, is_send ? "to" : "from") != 0) {
        return statement_refuse(reading, expected, word);
    }
    word = text_word(cursor);
    if (is_send ? !text_u32(word, &node->peer) : !any_or_u32(word, &node->peer)) {
        return statement_refuse(reading, expected, word);
    }
    return STATUS_OK;
}

static enum status operation_read(struct reading *reading, const char *label, const char *word, char **cursor)
{
    struct goal_node node = {.source_id = reading->lines.line};
    enum status status = STATUS_OK;
    if (label != NULL) {
        node.name = arena_strdup(reading->rank_arena, label);
    }
    if (word != NULL && strcmp(word, "calc") == 0) {
        node.kind = GOAL_CALC;
        const char *time = text_word(cursor);
        status = text_u64(time, &node.size) ? STATUS_OK
                                            : statement_refuse(reading, "expected `calc TIME [cpu C]`", time);
    } else if (word != NULL && (strcmp(word, "send") == 0 || strcmp(word, "recv") == 0)) {
        node.kind = word[0] == 's' ? GOAL_SEND : GOAL_RECV;
        status = message_read(reading, cursor, &node);
    } else {
        status = statement_refuse(reading, "expected send, recv, calc, `A requires B`, `A irequires B` or }",
                                  word);
    }
    status = status == STATUS_OK ? options_read(reading, cursor, &node) : status;
    struct origin at = {.path = reading->lines.path, .line = reading->lines.line};
    status = status == STATUS_OK ? goal_node_check(&node, at, reading->diag) : status;
    if (status == STATUS_OK) {
        struct goal_rank *rank = &reading->rank;
        vec_push(reading->rank_arena, rank->nodes, rank->node_count, rank->node_capacity) = node;
        if (label != NULL) {
            label_add(reading);
        }
    }
    return status;
}

static enum status requires_read(struct reading *reading, const char *label, bool is_start, char **cursor)
{
    struct goal_rank *rank = &reading->rank;
    struct goal_edge edge;
    enum status status = label_find(reading, label, &edge.node);
    if (status == STATUS_OK) {
        status = label_find(reading, text_word(cursor), &edge.on);
    }
    const char *more = text_word(cursor);
    if (status == STATUS_OK && more != NULL) {
        status = statement_refuse(reading, "expected one label behind requires", more);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (is_start) {
        vec_push(reading->rank_arena, rank->starts, rank->start_count, rank->start_capacity) = edge;
    } else {
        vec_push(reading->rank_arena, rank->ends, rank->end_count, rank->end_capacity) = edge;
    }
    return STATUS_OK;
}

/* ---- ranks ------------------------------------------------------------------------------------------- */

static enum status rank_begin(struct reading *reading, const char *word, char **cursor)
{
    uint32_t number = 0;
    const char *rank = text_word(cursor), *brace = text_word(cursor), *more = text_word(cursor);
    if (word == NULL || strcmp(word, "rank") != 0 || !text_u32(rank, &number) || brace == NULL ||
        strcmp(brace, "{") != 0 || more != NULL) {
        return statement_refuse(reading, "expected `rank R {`", word);
    }
    if (number != reading->rank_next || number >= reading->rank_count) {
        return text_refuse(&reading->lines, reading->diag, "block of rank %u; expected rank %u of %u", number,
                           reading->rank_next, reading->rank_count);
    }
    reading->rank_arena = arena_new_within(reading->arena, "a rank's GOAL schedule");
    reading->rank = (struct goal_rank){.arena = reading->rank_arena, .path = reading->lines.path};
    reading->labels = (struct labels){0};
    reading->is_in_rank = true;
    return STATUS_OK;
}

static enum status rank_end(struct reading *reading)
{
    job_builder_rank(reading->builder, reading->rank_next);
    goal_rank_add(&reading->rank, reading->builder, &reading->counts);
    arena_free(reading->rank_arena);
    reading->rank_arena = NULL;
    reading->is_in_rank = false;
    reading->rank_next++;
    return job_builder_rank_end(reading->builder, reading->lines.path, reading->diag);
}

static enum status ranks_begin(struct reading *reading, const char *word, char **cursor)
{
    const char *number = text_word(cursor);
    if (word == NULL || strcmp(word, "num_ranks") != 0 || !text_u32(number, &reading->rank_count) ||
        reading->rank_count == 0 || reading->rank_count > TRACE_RANKS_MAX) {
        return statement_refuse(reading, "expected `num_ranks N`, N from 1 to 1048576", number);
    }
    const char *name = trace_name(reading->arena, reading->lines.path);
    reading->builder = job_builder_new(reading->arena, name, "goal", reading->rank_count);
    return STATUS_OK;
}

static enum status statement_read(struct reading *reading, char *line)
{
    char *cursor = line, *word = text_word(&cursor);
    if (reading->builder == NULL) {
        return ranks_begin(reading, word, &cursor);
    }
    if (!reading->is_in_rank) {
        return rank_begin(reading, word, &cursor);
    }
    if (strcmp(word, "}") == 0) {
        return rank_end(reading);
    }
    size_t length = strlen(word);
    if (word[length - 1] == ':') {
        word[length - 1] = '\0';
        return operation_read(reading, word, text_word(&cursor), &cursor);
    }
    char *rest = cursor, *second = text_word(&rest);
    if (second != NULL && (strcmp(second, "requires") == 0 || strcmp(second, "irequires") == 0)) {
        return requires_read(reading, word, second[0] == 'i', &rest);
    }
    if (second != NULL && rest > second + strlen(second) && *rest != '\0') {
        second[strlen(second)] = ' '; /* it was no statement of that kind: mend the line */
    }
    return operation_read(reading, NULL, word, &cursor);
}

/* The line without the comments before its statement; NULL where nothing is left. */
static char *comments_skip(struct reading *reading, char *line)
{
    for (;;) {
        if (reading->is_in_comment) {
            char *end = strstr(line, "*/");
            if (end == NULL) {
                return NULL;
            }
            reading->is_in_comment = false;
            line = end + 2;
        }
        line += strspn(line, " \t");
        if (line[0] == '\0' || strncmp(line, "//", 2) == 0) {
            return NULL;
        }
        if (strncmp(line, "/*", 2) != 0) {
            return line;
        }
        reading->is_in_comment = true;
        line += 2;
    }
}

static enum status lines_read(void *context)
{
    struct reading *reading = context;
    enum status status;
    char *line;
    while ((status = text_next(&reading->lines, &line, reading->diag)) == STATUS_OK && line != NULL) {
        line = comments_skip(reading, line);
        status = line == NULL ? STATUS_OK : statement_read(reading, line);
        if (status != STATUS_OK) {
            return status;
        }
    }
    struct origin at = {.path = reading->lines.path};
    if (status == STATUS_OK && (reading->builder == NULL || reading->is_in_rank || reading->is_in_comment ||
                                reading->rank_next < reading->rank_count)) {
        return diag_input(reading->diag, at, "ends in rank %u of %u; expected a block for every rank",
                          reading->rank_next, reading->rank_count);
    }
    return status;
}

static enum status goal_read(const struct trace_source *source, struct arena *arena, const struct job **job,
                             struct diag *diag)
{
    struct reading reading = {.arena = arena, .diag = diag};
    struct arena *file_arena = arena_new_within(arena, "a GOAL file");
    enum status status = text_read(source->path, file_arena, &reading.lines, lines_read, &reading, diag);
    if (status == STATUS_OK && source->ranks != 0 && source->ranks != reading.rank_count) {
        status = diag_input(diag, (struct origin){.path = source->path},
                            "has %u ranks, but --ranks asks for %u; expected no --ranks", reading.rank_count,
                            source->ranks);
    }
    if (status == STATUS_OK) {
        goal_notes_add(&reading.counts, reading.builder);
        status = job_builder_finish(reading.builder, job, diag);
    }
    arena_free(reading.rank_arena);
    arena_free(file_arena);
    return status;
}

static bool goal_probe(const char *path, const uint8_t *head, size_t head_bytes)
{
    (void)path;
    struct text_head text = {(const char *)head, (const char *)head + head_bytes};
    char word[16];
    while (text_head_line(&text, word, sizeof word)) {
        if (strcmp(word, "num_ranks") == 0) {
            return true;
        }
        if (word[0] != '\0' && word[0] != '/' && word[0] != '*') {
            return false;
        }
    }
    return false;
}

const struct trace_format trace_format_goal = {
    .name = "goal",
    .summary = "GOAL schedules in text (LogGOPSim, ATLAHS)",
    .params = PARAM_TABLE_EMPTY,
    .probe = goal_probe,
    .read = goal_read,
};
