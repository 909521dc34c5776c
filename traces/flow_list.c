/* A list of flows as a job: see flow_list.h. */
#include "traces/flow_list.h"

#include <stdlib.h>
#include <string.h>

/* Signals have tags from here on: a pair of ranks would need two billion flows to reach it. */
#define SIGNAL_TAG (UINT32_C(1) << 31)
/* A barrier of all ranks with all ranks beyond 10,000 is a mistake, not a workload. */
#define SIGNALS_MAX UINT64_C(100000000)

/* Flows by rank: those of rank r are index[first[r]] .. index[first[r + 1] - 1], in the order of the file. */
struct by_rank {
    size_t *first;
    uint32_t *index;
};

/* A rank's part in a trigger: something of it fires it, or it starts something of it. */
struct role {
    uint32_t trigger, rank;
};

/* Roles without duplicates, twice: by trigger and by rank. */
struct roles {
    struct role *by_trigger, *by_rank;
    size_t count;
};

struct building {
    const struct flow_list *list;
    struct job_builder *builder;
    struct arena *scratch;
    struct by_rank sends, receives;
    uint32_t *tag;               /* a flow each */
    uint32_t *send_op, *recv_op; /* a flow each, in the program of its source or destination */
    struct roles firing, started;
    struct flow_event *events; /* by trigger */
    uint64_t signal_count;
};

/* ---- order ------------------------------------------------------------------------------------------- */

static struct by_rank by_rank_make(const struct building *building, bool is_source)
{
    const struct flow_list *list = building->list;
    struct by_rank rows = {arena_array(building->scratch, (size_t)list->rank_count + 2, size_t),
                           arena_array(building->scratch, list->flow_count, uint32_t)};
    size_t *next = rows.first + 1;
    for (size_t i = 0; i < list->flow_count; i++) {
        uint32_t rank = is_source ? list->flows[i].src : list->flows[i].dst;
        next[rank + 1]++;
    }
    for (uint32_t rank = 0; rank < list->rank_count; rank++) {
        next[rank + 1] += next[rank];
    }
    for (size_t i = 0; i < list->flow_count; i++) {
        uint32_t rank = is_source ? list->flows[i].src : list->flows[i].dst;
        rows.index[next[rank]++] = (uint32_t)i;
    }
    return rows;
}

/* The tag of a flow is its number among those of its two ranks. */
static void tags_give(struct building *building)
{
    const struct flow_list *list = building->list;
    uint32_t *met = arena_array(building->scratch, list->rank_count, uint32_t);
    building->tag = arena_array(building->scratch, list->flow_count, uint32_t);
    for (uint32_t rank = 0; rank < list->rank_count; rank++) {
        size_t first = building->sends.first[rank], end = building->sends.first[rank + 1];
        for (size_t i = first; i < end; i++) {
            uint32_t flow = building->sends.index[i];
            building->tag[flow] = met[list->flows[flow].dst]++;
        }
        for (size_t i = first; i < end; i++) {
            met[list->flows[building->sends.index[i]].dst] = 0;
        }
    }
}

static int trigger_first(const void *left, const void *right)
{
    const struct role *a = left, *b = right;
    if (a->trigger != b->trigger) {
        return a->trigger < b->trigger ? -1 : 1;
    }
    return (a->rank > b->rank) - (a->rank < b->rank);
}

static int rank_first(const void *left, const void *right)
{
    const struct role *a = left, *b = right;
    if (a->rank != b->rank) {
        return a->rank < b->rank ? -1 : 1;
    }
    return (a->trigger > b->trigger) - (a->trigger < b->trigger);
}

static int event_compare(const void *left, const void *right)
{
    const struct flow_event *a = left, *b = right;
    if (a->trigger != b->trigger) {
        return a->trigger < b->trigger ? -1 : 1;
    }
    return a->flow != b->flow ? (a->flow < b->flow ? -1 : 1) : a->is_received - b->is_received;
}

static void roles_sort(struct roles *roles, struct arena *arena)
{
    size_t kept = 0;
    qsort(roles->by_trigger, roles->count, sizeof *roles->by_trigger, trigger_first);
    for (size_t i = 0; i < roles->count; i++) {
        if (kept == 0 || trigger_first(&roles->by_trigger[i], &roles->by_trigger[kept - 1]) != 0) {
            roles->by_trigger[kept++] = roles->by_trigger[i];
        }
    }
    roles->count = kept;
    roles->by_rank = arena_array(arena, kept, struct role);
    memcpy(roles->by_rank, roles->by_trigger, kept * sizeof *roles->by_rank);
    qsort(roles->by_rank, kept, sizeof *roles->by_rank, rank_first);
}

static uint32_t event_rank(const struct flow_list *list, const struct flow_event *event)
{
    const struct flow *flow = &list->flows[event->flow];
    return event->is_received ? flow->dst : flow->src;
}

static void roles_find(struct building *building)
{
    const struct flow_list *list = building->list;
    struct arena *scratch = building->scratch;
    building->firing.by_trigger = arena_array(scratch, list->event_count, struct role);
    building->started.by_trigger = arena_array(scratch, list->flow_count, struct role);
    for (size_t i = 0; i < list->event_count; i++) {
        building->firing.by_trigger[building->firing.count++] =
            (struct role){list->events[i].trigger, event_rank(list, &list->events[i])};
    }
    for (size_t i = 0; i < list->flow_count; i++) {
        if (list->flows[i].trigger != ID_NONE) {
            building->started.by_trigger[building->started.count++] =
                (struct role){list->flows[i].trigger, list->flows[i].src};
        }
    }
    roles_sort(&building->firing, scratch);
    roles_sort(&building->started, scratch);
    building->events = arena_array(scratch, list->event_count, struct flow_event);
    if (list->event_count > 0) {
        memcpy(building->events, list->events, list->event_count * sizeof *building->events);
        qsort(building->events, list->event_count, sizeof *building->events, event_compare);
    }
}

/* The first role that is not before `key` in the order of `compare`. */
static size_t role_find(const struct role *roles, size_t count, struct role key,
                        int (*compare)(const void *, const void *))
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&roles[middle], &key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The roles in `trigger`, or of `rank`: [*first, return value). */
static size_t trigger_roles(const struct roles *roles, uint32_t trigger, size_t *first)
{
    *first = role_find(roles->by_trigger, roles->count, (struct role){trigger, 0}, trigger_first);
    return role_find(roles->by_trigger, roles->count, (struct role){trigger + 1, 0}, trigger_first);
}

static size_t rank_roles(const struct roles *roles, uint32_t rank, size_t *first)
{
    *first = role_find(roles->by_rank, roles->count, (struct role){0, rank}, rank_first);
    return role_find(roles->by_rank, roles->count, (struct role){0, rank + 1}, rank_first);
}

/* ---- one rank ---------------------------------------------------------------------------------------- */

struct start {
    uint64_t start_ps;
    uint32_t flow;
};

static int start_compare(const void *left, const void *right)
{
    const struct start *a = left, *b = right;
    if (a->start_ps != b->start_ps) {
        return a->start_ps < b->start_ps ? -1 : 1;
    }
    return (a->flow > b->flow) - (a->flow < b->flow);
}

static void send_add(struct building *building, uint32_t flow_id, uint32_t timer)
{
    const struct flow *flow = &building->list->flows[flow_id];
    struct op op = {.kind = OP_SEND,
                    .bytes = flow->bytes,
                    .peer = flow->dst,
                    .tag = building->tag[flow_id],
                    .stream = STREAM_NONE,
                    .source_id = flow->id,
                    .name = "flow"};
    building->send_op[flow_id] = job_builder_op(building->builder, &op);
    if (timer != ID_NONE) {
        job_builder_dep(building->builder, building->send_op[flow_id], timer);
    }
}

/* The rank's sends by start time, and the timers that they wait for. */
static void sends_add(struct building *building, uint32_t rank, struct arena *scratch)
{
    size_t first = building->sends.first[rank], count = building->sends.first[rank + 1] - first;
    struct start *starts = arena_array(scratch, count, struct start);
    for (size_t i = 0; i < count; i++) {
        uint32_t flow = building->sends.index[first + i];
        starts[i] = (struct start){building->list->flows[flow].start_ps, flow};
    }
    qsort(starts, count, sizeof *starts, start_compare);
    uint32_t timer = ID_NONE;
    uint64_t now_ps = 0;
    for (size_t i = 0; i < count; i++) {
        if (starts[i].start_ps > now_ps) {
            struct op op = {.kind = OP_COMPUTE,
                            .duration_ps = starts[i].start_ps - now_ps,
                            .stream = FLOW_STREAM_TIMER,
                            .source_id = building->list->flows[starts[i].flow].id,
                            .name = "timer"};
            uint32_t next = job_builder_op(building->builder, &op);
            if (timer != ID_NONE) {
                job_builder_dep(building->builder, next, timer);
            }
            timer = next;
            now_ps = starts[i].start_ps;
        }
        send_add(building, starts[i].flow, timer);
    }
}

static void receives_add(struct building *building, uint32_t rank)
{
    for (size_t i = building->receives.first[rank]; i < building->receives.first[rank + 1]; i++) {
        uint32_t flow_id = building->receives.index[i];
        const struct flow *flow = &building->list->flows[flow_id];
        struct op op = {.kind = OP_RECV,
                        .bytes = flow->bytes,
                        .peer = flow->src,
                        .tag = building->tag[flow_id],
                        .stream = STREAM_NONE,
                        .source_id = flow->id,
                        .name = "flow"};
        building->recv_op[flow_id] = job_builder_op(building->builder, &op);
    }
}

static uint32_t join_add(struct building *building, uint32_t trigger)
{
    struct op op = {.kind = OP_MARKER, .source_id = trigger, .name = "trigger"};
    return job_builder_op(building->builder, &op);
}

static uint32_t signal_add(struct building *building, enum op_kind kind, uint32_t trigger, uint32_t peer)
{
    struct op op = {.kind = kind,
                    .peer = peer,
                    .tag = SIGNAL_TAG + trigger,
                    .stream = STREAM_NONE,
                    .source_id = trigger,
                    .name = "trigger"};
    building->signal_count += kind == OP_SEND;
    return job_builder_op(building->builder, &op);
}

/* What this rank must see done for a trigger; tells the ranks that it starts flows of. Returns the join. */
static uint32_t trigger_fire(struct building *building, uint32_t rank, uint32_t trigger)
{
    const struct flow_list *list = building->list;
    uint32_t join = join_add(building, trigger);
    struct flow_event key = {.trigger = trigger};
    size_t low = 0, high = list->event_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (event_compare(&building->events[middle], &key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < list->event_count && building->events[low].trigger == trigger; low++) {
        const struct flow_event *event = &building->events[low];
        if (event_rank(list, event) == rank) {
            job_builder_dep(building->builder, join,
                            event->is_received ? building->recv_op[event->flow]
                                               : building->send_op[event->flow]);
        }
    }
    size_t first, end = trigger_roles(&building->started, trigger, &first);
    for (size_t i = first; i < end; i++) {
        uint32_t target = building->started.by_trigger[i].rank;
        if (target != rank) {
            job_builder_dep(building->builder, signal_add(building, OP_SEND, trigger, target), join);
        }
    }
    return join;
}

/* Waits for all ranks that the trigger waits for; `own` is this rank's join where it is one of them. */
static uint32_t trigger_await(struct building *building, uint32_t rank, uint32_t trigger, uint32_t own)
{
    size_t first, end = trigger_roles(&building->firing, trigger, &first);
    uint32_t fired = join_add(building, trigger);
    if (own != ID_NONE) {
        job_builder_dep(building->builder, fired, own);
    }
    for (size_t i = first; i < end; i++) {
        uint32_t from = building->firing.by_trigger[i].rank;
        if (from != rank) {
            job_builder_dep(building->builder, fired, signal_add(building, OP_RECV, trigger, from));
        }
    }
    return fired;
}

static void triggers_add(struct building *building, uint32_t rank, struct arena *scratch)
{
    size_t first, end = rank_roles(&building->firing, rank, &first);
    size_t begun, done = rank_roles(&building->started, rank, &begun);
    uint32_t *fired = arena_array(scratch, done - begun, uint32_t);
    memset(fired, 0xff, (done - begun) * sizeof *fired);
    for (size_t i = first, j = begun; i < end; i++) {
        uint32_t trigger = building->firing.by_rank[i].trigger;
        uint32_t join = trigger_fire(building, rank, trigger);
        while (j < done && building->started.by_rank[j].trigger < trigger) {
            j++;
        }
        if (j < done && building->started.by_rank[j].trigger == trigger) {
            fired[j - begun] = join;
        }
    }
    for (size_t j = begun; j < done; j++) {
        fired[j - begun] =
            trigger_await(building, rank, building->started.by_rank[j].trigger, fired[j - begun]);
    }
    for (size_t i = building->sends.first[rank]; i < building->sends.first[rank + 1]; i++) {
        uint32_t flow = building->sends.index[i], trigger = building->list->flows[flow].trigger;
        if (trigger != ID_NONE) {
            struct role key = {trigger, rank};
            const struct role *role =
                bsearch(&key, building->started.by_rank + begun, done - begun, sizeof key, rank_first);
            job_builder_dep(building->builder, building->send_op[flow],
                            fired[role - (building->started.by_rank + begun)]);
        }
    }
}

static enum status rank_build(struct building *building, uint32_t rank, struct diag *diag)
{
    struct arena *scratch = arena_new_within(building->scratch, "a rank's flows");
    job_builder_rank(building->builder, rank);
    sends_add(building, rank, scratch);
    receives_add(building, rank);
    triggers_add(building, rank, scratch);
    arena_free(scratch);
    return job_builder_rank_end(building->builder, building->list->path, diag);
}

/* ---- all --------------------------------------------------------------------------------------------- */

static enum status signals_check(const struct building *building, struct diag *diag)
{
    uint64_t count = 0;
    for (size_t i = 0; i < building->firing.count; i++) {
        size_t first;
        count += trigger_roles(&building->started, building->firing.by_trigger[i].trigger, &first) - first;
    }
    return count <= SIGNALS_MAX
               ? STATUS_OK
               : diag_input(diag, (struct origin){.path = building->list->path},
                            "its triggers join more than 100 million pairs of ranks; expected fewer");
}

static void notes_add(const struct building *building)
{
    uint64_t late = 0;
    for (size_t i = 0; i < building->list->flow_count; i++) {
        late += building->list->flows[i].start_ps > 0;
    }
    if (late > 0) {
        job_builder_note(building->builder, "flows with a start time", "wait for a timer on stream 1", late,
                         0);
    }
    if (building->signal_count > 0) {
        job_builder_note(building->builder, "triggers from one rank to another",
                         "carried by a message of no bytes", building->signal_count, 0);
    }
}

enum status flow_list_build(const struct flow_list *list, struct job_builder *builder, struct diag *diag)
{
    struct building building = {.list = list, .builder = builder, .scratch = arena_new("a list of flows")};
    building.sends = by_rank_make(&building, true);
    building.receives = by_rank_make(&building, false);
    building.send_op = arena_array(building.scratch, list->flow_count, uint32_t);
    building.recv_op = arena_array(building.scratch, list->flow_count, uint32_t);
    tags_give(&building);
    roles_find(&building);
    enum status status = signals_check(&building, diag);
    uint32_t idle = ID_NONE;
    for (uint32_t rank = 0; rank < list->rank_count && status == STATUS_OK; rank++) {
        bool is_idle = building.sends.first[rank] == building.sends.first[rank + 1] &&
                       building.receives.first[rank] == building.receives.first[rank + 1];
        if (is_idle && idle != ID_NONE) {
            job_builder_rank_like(builder, rank, idle);
        } else {
            status = rank_build(&building, rank, diag);
            idle = is_idle ? rank : idle;
        }
    }
    notes_add(&building);
    arena_free(building.scratch);
    return status;
}
