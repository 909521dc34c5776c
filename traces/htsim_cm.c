/* Reader of htsim's connection matrices: lists of flows, with triggers.
 *
 *     Nodes 128                                            "#" begins a comment line
 *     Connections 2
 *     Triggers 1
 *     103->32 id 1 start 0 size 2000000 send_done_trigger 1
 *     103->34 id 2 trigger 1 size 2000000
 *     trigger id 1 oneshot
 *
 * Scope: flows that begin at a time or by a trigger; triggers oneshot, barrier and multishot, fired by
 * send_done_trigger (the source has its last acknowledgement) or recv_done_trigger (the destination has the
 * last byte). What htsim's reader asserts is refused in a line. Times are picoseconds, as in the reader of
 * ultraethernet/uet-htsim (its -conn_reuse and some older forks take microseconds: trace.start_unit).
 * Not modelled: connection reuse and message ids, priorities, failures (of switches: they belong to the
 * fabric); a trigger between ranks takes the time of an empty message, where htsim's takes none; a multishot
 * trigger starts its flows in the order of the file, one for each of its causes in the order of the file,
 * where htsim takes the causes in the order in which they happen. Checked against: ConnectionMatrix::load and
 * trigger.cpp of ultraethernet/uet-htsim (40ccb05) by reading them, its connection matrices by loading them,
 * and tests/test_flows.c. */
#include "traces/flow_list.h"
#include "traces/text_lines.h"

#include "photonet/units.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum start_unit { UNIT_PS, UNIT_NS, UNIT_US };
static const char *const unit_choices[] = {[UNIT_PS] = "ps", [UNIT_NS] = "ns", [UNIT_US] = "us", NULL};
static const double unit_ps[] = {[UNIT_PS] = 1.0, [UNIT_NS] = 1e3, [UNIT_US] = 1e6};
/* Eleven days: more is a wrong unit. */
#define START_PS_MAX 1e18

struct values {
    uint32_t start_unit;
};

static const struct param rows[] = {
    PARAM_CHOICE(struct values, start_unit, "start_unit", "ps", unit_choices,
                 "unit of the start times; uet-htsim reads picoseconds, older forks microseconds"),
};

enum trigger_type { TRIGGER_NONE, TRIGGER_ONESHOT, TRIGGER_MULTISHOT, TRIGGER_BARRIER };

struct trigger {
    uint32_t id, line;
    enum trigger_type type;
    uint64_t count;            /* of a barrier */
    uint32_t fired_by, starts; /* how many events and flows */
    uint32_t event_next, flow_next;
    uint32_t first; /* number in the flow list; a multishot trigger has one for each of `starts` */
};

/* A use of a trigger by a flow. `event` is NULL where it starts the flow. */
struct use {
    uint32_t id, line, flow;
    bool is_start, is_received;
};

struct reading {
    struct text_lines lines;
    struct arena *scratch;
    const struct values *values;
    struct diag *diag;
    uint32_t nodes;
    bool has_nodes;
    uint64_t connections, trigger_lines, failures; /* as the head says */
    uint64_t failure_count;
    struct flow *flows;
    size_t flow_count, flow_capacity;
    struct trigger *triggers;
    size_t trigger_count, trigger_capacity;
    struct use *uses;
    size_t use_count, use_capacity;
    uint64_t priority_count, message_count;
};

/* ---- lines ------------------------------------------------------------------------------------------- */

static enum status number_read(struct reading *reading, const char *key, char **cursor, uint64_t high,
                               uint64_t *value)
{
    const char *word = text_word(cursor);
    if (!text_u64(word, value) || *value > high) {
        return text_refuse(&reading->lines, reading->diag, "%s %.40s; expected a whole number up to %" PRIu64,
                           key, word == NULL ? "without a value" : word, high);
    }
    return STATUS_OK;
}

static enum status start_read(struct reading *reading, char **cursor, struct flow *flow)
{
    double value;
    const char *word = text_word(cursor);
    double unit = unit_ps[reading->values->start_unit];
    if (!text_real(word, &value) || value * unit > START_PS_MAX) {
        return text_refuse(
            &reading->lines, reading->diag, "start %.40s; expected a time in %s, below 11 days",
            word == NULL ? "without a value" : word, unit_choices[reading->values->start_unit]);
    }
    flow->start_ps = (uint64_t)(value * unit + 0.5);
    return STATUS_OK;
}

static enum status use_read(struct reading *reading, const char *key, char **cursor, bool is_start,
                            bool is_received)
{
    uint64_t id;
    enum status status = number_read(reading, key, cursor, UINT32_MAX, &id);
    if (status == STATUS_OK) {
        vec_push(reading->scratch, reading->uses, reading->use_count, reading->use_capacity) = (struct use){
            (uint32_t)id, reading->lines.line, (uint32_t)reading->flow_count, is_start, is_received};
    }
    return status;
}

enum { FLOW_HAS_START = 1, FLOW_HAS_SIZE = 2, FLOW_HAS_TRIGGER = 4 };

static enum status attribute_read(struct reading *reading, const char *key, char **cursor, struct flow *flow,
                                  unsigned *has)
{
    uint64_t ignored;
    if (strcmp(key, "start") == 0) {
        *has |= FLOW_HAS_START;
        return start_read(reading, cursor, flow);
    }
    if (strcmp(key, "size") == 0) {
        *has |= FLOW_HAS_SIZE;
        return number_read(reading, key, cursor, UINT64_MAX >> 4, &flow->bytes);
    }
    if (strcmp(key, "id") == 0) {
        return number_read(reading, key, cursor, UINT64_MAX, &flow->id);
    }
    if (strcmp(key, "trigger") == 0) {
        *has |= FLOW_HAS_TRIGGER;
        return use_read(reading, key, cursor, true, false);
    }
    if (strcmp(key, "send_done_trigger") == 0 || strcmp(key, "recv_done_trigger") == 0) {
        return use_read(reading, key, cursor, false, key[0] == 'r');
    }
    if (strcmp(key, "prio") == 0) {
        reading->priority_count++;
        return number_read(reading, key, cursor, UINT64_MAX, &ignored);
    }
    if (strcmp(key, "msg") == 0) { /* its number may be left out */
        reading->message_count++;
        const char *next = *cursor + strspn(*cursor, " \t");
        return *next >= '0' && *next <= '9' ? number_read(reading, key, cursor, UINT64_MAX, &ignored)
                                            : STATUS_OK;
    }
    return text_refuse(&reading->lines, reading->diag,
                       "unknown word \"%.40s\"; expected id, start, size, trigger, send_done_trigger, "
                       "recv_done_trigger, prio or msg",
                       key);
}

static enum status flow_finish(struct reading *reading, const struct flow *flow, unsigned has)
{
    if ((has & FLOW_HAS_SIZE) == 0) {
        return text_refuse(&reading->lines, reading->diag, "flow without a size; expected its bytes");
    }
    if (((has & FLOW_HAS_START) != 0) == ((has & FLOW_HAS_TRIGGER) != 0)) {
        return text_refuse(&reading->lines, reading->diag, "flow with %s; expected one of them",
                           (has & FLOW_HAS_START) != 0 ? "both a start and a trigger"
                                                       : "neither a start nor a trigger");
    }
    if (reading->flow_count >= ID_NONE - 1) {
        return text_refuse(&reading->lines, reading->diag, "too many flows; expected fewer than 2^32");
    }
    vec_push(reading->scratch, reading->flows, reading->flow_count, reading->flow_capacity) = *flow;
    return STATUS_OK;
}

/* `arrow` is the place of the "->" in the first word. */
static enum status flow_read(struct reading *reading, char *word, char *arrow, char **cursor)
{
    struct flow flow = {.id = reading->lines.line, .trigger = ID_NONE};
    *arrow = '\0';
    if (!text_u32(word, &flow.src) || !text_u32(arrow + 2, &flow.dst)) {
        return text_refuse(&reading->lines, reading->diag,
                           "\"%.20s->%.20s\" names no two ranks; expected SRC->DST", word, arrow + 2);
    }
    if (!reading->has_nodes || flow.src >= reading->nodes || flow.dst >= reading->nodes) {
        return text_refuse(&reading->lines, reading->diag,
                           "flow from %u to %u; expected nodes below %u, the number behind Nodes", flow.src,
                           flow.dst, reading->nodes);
    }
    unsigned has = 0;
    enum status status = STATUS_OK;
    for (char *key; status == STATUS_OK && (key = text_word(cursor)) != NULL;) {
        status = attribute_read(reading, key, cursor, &flow, &has);
    }
    return status == STATUS_OK ? flow_finish(reading, &flow, has) : status;
}

static enum status trigger_read(struct reading *reading, char **cursor)
{
    struct trigger trigger = {.line = reading->lines.line};
    uint64_t id = 0;
    enum status status = STATUS_OK;
    for (char *key; status == STATUS_OK && (key = text_word(cursor)) != NULL;) {
        if (strcmp(key, "id") == 0) {
            status = number_read(reading, key, cursor, UINT32_MAX, &id);
        } else if (strcmp(key, "count") == 0) {
            status = number_read(reading, key, cursor, UINT32_MAX, &trigger.count);
        } else if (strcmp(key, "oneshot") == 0) {
            trigger.type = TRIGGER_ONESHOT;
        } else if (strcmp(key, "multishot") == 0) {
            trigger.type = TRIGGER_MULTISHOT;
        } else if (strcmp(key, "barrier") == 0) {
            trigger.type = TRIGGER_BARRIER;
        } else {
            status =
                text_refuse(&reading->lines, reading->diag,
                            "unknown word \"%.40s\"; expected id, count, oneshot, multishot or barrier", key);
        }
    }
    if (status != STATUS_OK) {
        return status;
    }
    trigger.id = (uint32_t)id;
    if (id == 0 || trigger.type == TRIGGER_NONE) {
        return text_refuse(&reading->lines, reading->diag,
                           "trigger without %s; expected `trigger id N oneshot`, multishot or barrier",
                           id == 0 ? "an id above 0" : "a type");
    }
    vec_push(reading->scratch, reading->triggers, reading->trigger_count, reading->trigger_capacity) =
        trigger;
    return STATUS_OK;
}

static enum status head_read(struct reading *reading, const char *key, char **cursor, bool *is_head)
{
    uint64_t nodes;
    *is_head = true;
    if (strcmp(key, "Nodes") == 0) {
        enum status status = number_read(reading, key, cursor, TRACE_RANKS_MAX, &nodes);
        reading->nodes = status == STATUS_OK ? (uint32_t)nodes : 0;
        reading->has_nodes = true;
        return status;
    }
    if (strcmp(key, "Connections") == 0) {
        return number_read(reading, key, cursor, UINT32_MAX, &reading->connections);
    }
    if (strcmp(key, "Triggers") == 0) {
        return number_read(reading, key, cursor, UINT32_MAX, &reading->trigger_lines);
    }
    if (strcmp(key, "Failures") == 0) {
        return number_read(reading, key, cursor, UINT32_MAX, &reading->failures);
    }
    *is_head = false;
    return STATUS_OK;
}

static enum status line_read(struct reading *reading, char *line)
{
    char *word = text_word(&line);
    if (word == NULL || word[0] == '#') {
        return STATUS_OK;
    }
    char *arrow = strstr(word, "->");
    if (arrow != NULL) {
        return flow_read(reading, word, arrow, &line);
    }
    if (strcmp(word, "trigger") == 0) {
        return trigger_read(reading, &line);
    }
    if (strcmp(word, "failure") == 0) {
        reading->failure_count++;
        return STATUS_OK;
    }
    bool is_head;
    enum status status = head_read(reading, word, &line, &is_head);
    if (status == STATUS_OK && !is_head) {
        status = text_refuse(&reading->lines, reading->diag,
                             "begins with \"%.40s\"; expected Nodes, Connections, Triggers, Failures, "
                             "SRC->DST, trigger or failure",
                             word);
    }
    return status;
}

static enum status lines_read(void *context)
{
    struct reading *reading = context;
    enum status status;
    char *line;
    while ((status = text_next(&reading->lines, &line, reading->diag)) == STATUS_OK && line != NULL) {
        status = line_read(reading, line);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return status;
}

/* ---- the whole --------------------------------------------------------------------------------------- */

static enum status counts_check(const struct reading *reading)
{
    const struct {
        const char *what;
        uint64_t said, found;
    } counts[] = {
        {"Connections", reading->connections, reading->flow_count},
        {"Triggers", reading->trigger_lines, reading->trigger_count},
        {"Failures", reading->failures, reading->failure_count},
    };
    struct origin at = {.path = reading->lines.path};
    if (!reading->has_nodes || reading->nodes == 0) {
        return diag_input(reading->diag, at, "has no nodes; expected a line `Nodes N`");
    }
    if (reading->flow_count == 0 && reading->connections == 0) {
        return diag_input(reading->diag, at,
                          "holds no flow; expected `Connections N` and N lines SRC->DST ...");
    }
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (counts[i].said != counts[i].found) {
            return diag_input(reading->diag, at,
                              "says %s %" PRIu64 " but holds %" PRIu64 " of them; expected as many",
                              counts[i].what, counts[i].said, counts[i].found);
        }
    }
    return STATUS_OK;
}

static int trigger_compare(const void *left, const void *right)
{
    const struct trigger *a = left, *b = right;
    return (a->id > b->id) - (a->id < b->id);
}

static struct trigger *trigger_find(const struct reading *reading, uint32_t id)
{
    struct trigger key = {.id = id};
    return reading->trigger_count == 0
               ? NULL
               : bsearch(&key, reading->triggers, reading->trigger_count, sizeof key, trigger_compare);
}

static enum status trigger_check(const struct reading *reading, const struct trigger *trigger)
{
    struct origin at = {.path = reading->lines.path, .line = trigger->line};
    uint64_t needed = trigger->type == TRIGGER_BARRIER     ? trigger->count
                      : trigger->type == TRIGGER_MULTISHOT ? trigger->starts
                                                           : 1;
    if (trigger->starts == 0) {
        return STATUS_OK;
    }
    if (trigger->fired_by < needed || needed == 0) {
        return diag_input(reading->diag, at,
                          "trigger %u fires after %" PRIu64
                          " of its events but has %u; flows that wait for it "
                          "would never start",
                          trigger->id, needed, trigger->fired_by);
    }
    if (trigger->fired_by > needed && trigger->type != TRIGGER_MULTISHOT) {
        return diag_input(reading->diag, at, "trigger %u has %u events; expected %" PRIu64, trigger->id,
                          trigger->fired_by, needed);
    }
    return STATUS_OK;
}

static enum status triggers_sort(struct reading *reading)
{
    if (reading->trigger_count > 0) {
        qsort(reading->triggers, reading->trigger_count, sizeof *reading->triggers, trigger_compare);
    }
    for (size_t i = 1; i < reading->trigger_count; i++) {
        if (reading->triggers[i].id == reading->triggers[i - 1].id) {
            return diag_input(reading->diag,
                              (struct origin){.path = reading->lines.path, .line = reading->triggers[i].line},
                              "trigger %u is defined twice; expected one line each", reading->triggers[i].id);
        }
    }
    for (size_t i = 0; i < reading->use_count; i++) {
        const struct use *use = &reading->uses[i];
        struct trigger *trigger = trigger_find(reading, use->id);
        if (trigger == NULL) {
            return diag_input(reading->diag, (struct origin){.path = reading->lines.path, .line = use->line},
                              "trigger %u is used but not defined; expected a line `trigger id %u ...`",
                              use->id, use->id);
        }
        trigger->starts += use->is_start;
        trigger->fired_by += !use->is_start;
    }
    return STATUS_OK;
}

/* Numbers the triggers for the flow list. A multishot one becomes a trigger for each flow that it starts. */
static enum status triggers_number(struct reading *reading, struct flow_list *list)
{
    uint32_t next = 0;
    for (size_t i = 0; i < reading->trigger_count; i++) {
        struct trigger *trigger = &reading->triggers[i];
        enum status status = trigger_check(reading, trigger);
        if (status != STATUS_OK) {
            return status;
        }
        trigger->first = next;
        next += trigger->starts == 0 ? 0 : trigger->type == TRIGGER_MULTISHOT ? trigger->starts : 1;
    }
    list->trigger_count = next;
    return STATUS_OK;
}

static void uses_resolve(struct reading *reading, struct job_builder *builder, struct flow_list *list)
{
    struct flow_event *events = arena_array(reading->scratch, reading->use_count, struct flow_event);
    uint64_t fixed = 0, idle = 0;
    for (size_t i = 0; i < reading->use_count; i++) {
        const struct use *use = &reading->uses[i];
        struct trigger *trigger = trigger_find(reading, use->id);
        bool is_multishot = trigger->type == TRIGGER_MULTISHOT;
        if (use->is_start) {
            reading->flows[use->flow].trigger = trigger->first + (is_multishot ? trigger->flow_next++ : 0);
            fixed += is_multishot && trigger->fired_by > 1;
        } else if (trigger->starts == 0 || (is_multishot && trigger->event_next >= trigger->starts)) {
            idle++;
        } else {
            events[list->event_count++] = (struct flow_event){
                trigger->first + (is_multishot ? trigger->event_next++ : 0), use->flow, use->is_received};
        }
    }
    list->events = events;
    if (fixed > 0) {
        job_builder_note(builder, "flows started by a multishot trigger with several causes",
                         "start in the order of the file", fixed, 0);
    }
    if (idle > 0) {
        job_builder_note(builder, "events of triggers that start nothing more", "ignored", idle, 0);
    }
}

static void notes_add(const struct reading *reading, struct job_builder *builder)
{
    const struct {
        const char *what;
        uint64_t count;
    } notes[] = {
        {"failure lines", reading->failure_count},
        {"priorities of flows", reading->priority_count},
        {"message ids of reused connections", reading->message_count},
    };
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        if (notes[i].count > 0) {
            job_builder_note(builder, notes[i].what, "ignored", notes[i].count, 0);
        }
    }
}

static enum status ranks_check(struct reading *reading, uint32_t ranks)
{
    if (ranks != 0 && (ranks < reading->nodes || ranks > TRACE_RANKS_MAX)) {
        return diag_input(reading->diag, (struct origin){.path = reading->lines.path},
                          "has %u nodes, but --ranks asks for %u; expected %u to %u", reading->nodes, ranks,
                          reading->nodes, TRACE_RANKS_MAX);
    }
    reading->nodes = ranks != 0 ? ranks : reading->nodes;
    return STATUS_OK;
}

static enum status job_make(struct reading *reading, const struct trace_source *source, struct arena *arena,
                            const struct job **job)
{
    struct flow_list list = {.path = reading->lines.path};
    enum status status = counts_check(reading);
    status = status == STATUS_OK ? ranks_check(reading, source->ranks) : status;
    status = status == STATUS_OK ? triggers_sort(reading) : status;
    status = status == STATUS_OK ? triggers_number(reading, &list) : status;
    if (status != STATUS_OK) {
        return status;
    }
    list.rank_count = reading->nodes;
    const char *name = trace_name(arena, source->path);
    struct job_builder *builder = job_builder_new(arena, name, "htsim_cm", list.rank_count);
    uses_resolve(reading, builder, &list);
    list.flows = reading->flows;
    list.flow_count = reading->flow_count;
    notes_add(reading, builder);
    status = flow_list_build(&list, builder, reading->diag);
    return status == STATUS_OK ? job_builder_finish(builder, job, reading->diag) : status;
}

static enum status cm_read(const struct trace_source *source, struct arena *arena, const struct job **job,
                           struct diag *diag)
{
    struct reading reading = {
        .scratch = arena_new_within(arena, "a connection matrix"), .values = source->values, .diag = diag};
    enum status status = text_read(source->path, reading.scratch, &reading.lines, lines_read, &reading, diag);
    if (status == STATUS_OK) {
        status = job_make(&reading, source, arena, job);
    }
    arena_free(reading.scratch);
    return status;
}

static bool cm_probe(const char *path, const uint8_t *head, size_t head_bytes)
{
    (void)path;
    struct text_head text = {(const char *)head, (const char *)head + head_bytes};
    char word[16];
    while (text_head_line(&text, word, sizeof word)) {
        if (strcmp(word, "Nodes") == 0) {
            return true;
        }
        if (word[0] != '#' && word[0] != '\0') {
            return false;
        }
    }
    return false;
}

const struct trace_format trace_format_htsim_cm = {
    .name = "htsim_cm",
    .summary = "flow lists of htsim (connection matrices), with triggers",
    .params = PARAM_TABLE(struct values, rows),
    .probe = cm_probe,
    .read = cm_read,
};
