/* Messages to teams (team.h): both ends of streams that switches copy or combine. */
#include "netsim/transport/endpoint_int.h"

#include <string.h>

#define SEQ_ACK (1u << 23) /* numbers of acknowledgements, apart from those of data in the same group */
#define SEQ_MASK (SEQ_ACK - 1)

/* A message under way, at who sends it. */
struct cast {
    struct message message; /* dst_host: the sender's own */
    uint64_t first;         /* number of its first packet in the stream */
    uint32_t count, left;   /* packets; those not accounted for */
    uint32_t next;          /* slot of the next one of the stream, or of the free ones */
    bool is_ready;          /* software and NIC are through with it */
};

/* Of a stream at a member, by tree. A sender has sent `sent` packets, of which `done` are accounted for; one that only
 * receives has received `done`. */
struct tree_state {
    uint64_t sent, done;
    uint32_t ack_count; /* acknowledgements sent (copy) */
};

/* A copied message that has begun to come. */
struct coming {
    uint32_t slot, left;
};

struct stream {
    const struct team *team;
    uint32_t self, owner;
    uint8_t kind;
    uint32_t head, tail;     /* casts that are not over, ID_NONE: none */
    uint32_t cursor;         /* the one that a packet was looked up in last */
    uint32_t unready;        /* the first that is not ready, ID_NONE: all are */
    uint64_t posted, ready;  /* packets of all messages; of those that may leave */
    uint64_t queued_trees;   /* bit t: stands in the ring of its port */
    struct coming *coming;
    uint32_t coming_count, coming_capacity;
    struct tree_state trees[];
};

struct turn {
    struct stream *stream;
    uint32_t tree;
};

struct turn_ring {
    struct turn *turns;
    uint32_t head, count, capacity;
};

/* A host's part in one team. */
struct seat {
    struct stream **streams; /* copy from each member, combine to each member, combine */
};

#define CAST_CHUNKS 16 /* 32 slots, and twice as many in each following chunk: chunks stay where they are (T3) */
#define CAST_CHUNK_LOG2 5

struct team_host {
    struct seat *seats;      /* as in team_table.host_team */
    struct turn_ring *rings; /* per port */
    bool *is_turn;           /* per port: of teams, before other messages */
    struct cast *chunks[CAST_CHUNKS];
    uint32_t cast_count, free_cast;
};

/* ---- finding ---------------------------------------------------------------------------------------------- */

static uint32_t host_ports(const struct endpoint *endpoint, uint32_t host)
{
    const struct fabric *fabric = endpoint->config.fabric;
    return fabric->port_first[host + 1] - fabric->port_first[host];
}

static struct cast *cast_at(const struct endpoint *endpoint, uint32_t host, uint32_t slot)
{
    uint32_t number = (slot >> CAST_CHUNK_LOG2) + 1, chunk = 31 - (uint32_t)__builtin_clz(number);
    return &endpoint->team_hosts[host].chunks[chunk][slot - (((1u << chunk) - 1) << CAST_CHUNK_LOG2)];
}

static uint32_t cast_take(struct endpoint *endpoint, uint32_t host_id)
{
    struct team_host *host = &endpoint->team_hosts[host_id];
    if (host->free_cast == ID_NONE) {
        uint32_t chunk = 31 - (uint32_t)__builtin_clz((host->cast_count >> CAST_CHUNK_LOG2) + 1);
        uint32_t count = 1u << (chunk + CAST_CHUNK_LOG2);
        assert(chunk < CAST_CHUNKS && host->cast_count + count <= FLOW_SLOTS_MAX);
        host->chunks[chunk] = arena_array(endpoint->arena, count, struct cast);
        for (uint32_t i = count; i-- > 0;) {
            host->chunks[chunk][i].next = host->free_cast;
            host->free_cast = host->cast_count + i;
        }
        host->cast_count += count;
    }
    uint32_t slot = host->free_cast;
    host->free_cast = cast_at(endpoint, host_id, slot)->next;
    return slot;
}

/* A host is in few teams. */
static uint32_t seat_of(const struct endpoint *endpoint, uint32_t host, uint32_t team)
{
    const struct team_table *table = endpoint->config.teams;
    uint32_t at = table->host_first[host];
    while (table->host_team[at] != team) {
        DASSERT(at + 1 < table->host_first[host + 1]);
        at++;
    }
    return at;
}

static struct stream *stream_of(struct endpoint *endpoint, uint32_t host, uint32_t team_id, enum team_stream kind, uint32_t owner)
{
    const struct team_table *table = endpoint->config.teams;
    const struct team *team = &table->teams[team_id];
    uint32_t seat_id = seat_of(endpoint, host, team_id), index = (uint32_t)kind * team->member_count + owner;
    struct seat *seat = &endpoint->team_hosts[host].seats[seat_id - table->host_first[host]];
    if (seat->streams == NULL) {
        seat->streams = arena_array(endpoint->arena, 2 * team->member_count + 1, struct stream *);
    }
    if (seat->streams[index] == NULL) {
        size_t bytes = sizeof(struct stream) + team->tree_count * sizeof(struct tree_state);
        struct stream *stream = arena_alloc(endpoint->arena, bytes);
        *stream = (struct stream){.team = team, .self = table->host_member[seat_id], .owner = owner, .kind = (uint8_t)kind,
                                  .head = ID_NONE, .tail = ID_NONE, .cursor = ID_NONE, .unready = ID_NONE};
        seat->streams[index] = stream;
    }
    return seat->streams[index];
}

static uint32_t stream_host(const struct stream *stream)
{
    return stream->team->host[stream->self];
}

static uint32_t stream_port(const struct stream *stream, uint32_t tree)
{
    return stream->team->port[tree * stream->team->member_count + stream->self];
}

/* Of the stream, the k-th packet that goes by a tree. Streams of different owners begin with different trees. */
static uint64_t packet_number(const struct stream *stream, uint32_t tree, uint64_t k)
{
    uint32_t trees = stream->team->tree_count, first = (uint32_t)((uint64_t)stream->owner * trees / stream->team->member_count);
    return k * trees + (tree >= first ? tree - first : tree + trees - first);
}

/* The cast that a packet of the stream is of. */
static struct cast *cast_of(struct endpoint *endpoint, struct stream *stream, uint64_t number, uint32_t *slot)
{
    uint32_t host = stream_host(stream);
    *slot = stream->cursor != ID_NONE && cast_at(endpoint, host, stream->cursor)->first <= number ? stream->cursor
                                                                                                    : stream->head;
    struct cast *cast = cast_at(endpoint, host, *slot);
    while (number - cast->first >= cast->count) {
        *slot = cast->next;
        cast = cast_at(endpoint, host, *slot);
    }
    stream->cursor = *slot;
    return cast;
}

/* ---- sending ---------------------------------------------------------------------------------------------- */

static bool tree_may_send(const struct stream *stream, uint32_t tree)
{
    const struct tree_state *state = &stream->trees[tree];
    return packet_number(stream, tree, state->sent) < stream->ready && state->sent - state->done < stream->team->window;
}

static void turn_push(struct endpoint *endpoint, struct turn_ring *ring, struct turn turn)
{
    if (ring->count == ring->capacity) {
        uint32_t capacity = ring->capacity == 0 ? 8 : ring->capacity * 2;
        struct turn *turns = arena_array(endpoint->arena, capacity, struct turn);
        for (uint32_t i = 0; i < ring->count; i++) {
            turns[i] = ring->turns[(ring->head + i) & (ring->capacity - 1)];
        }
        *ring = (struct turn_ring){turns, 0, ring->count, capacity};
    }
    ring->turns[(ring->head + ring->count++) & (ring->capacity - 1)] = turn;
}

static void tree_wake(struct endpoint *endpoint, struct stream *stream, uint32_t tree, uint64_t now_ps)
{
    uint32_t host = stream_host(stream), port = stream_port(stream, tree);
    if ((stream->queued_trees >> tree & 1) != 0 || !tree_may_send(stream, tree)) {
        return;
    }
    stream->queued_trees |= UINT64_C(1) << tree;
    turn_push(endpoint, &endpoint->team_hosts[host].rings[port], (struct turn){stream, tree});
    if (!(endpoint->hosts[host].pulled_ports >> port & 1)) {
        engine_kick(endpoint->engine, host, port, now_ps);
    }
}

/* Messages are ready in the order in which they were posted. */
static void ready_advance(struct endpoint *endpoint, struct stream *stream, uint64_t now_ps)
{
    uint32_t host = stream_host(stream);
    while (stream->unready != ID_NONE) {
        const struct cast *cast = cast_at(endpoint, host, stream->unready);
        if (!cast->is_ready) {
            break;
        }
        stream->ready = cast->first + cast->count;
        stream->unready = cast->next;
    }
    for (uint32_t tree = 0; tree < stream->team->tree_count; tree++) {
        tree_wake(endpoint, stream, tree, now_ps);
    }
}

static uint32_t member_of_rank(const struct team *team, uint32_t rank)
{
    uint32_t member = 0;
    while (team->rank[member] != rank) {
        member++;
    }
    return member;
}

static struct stream *stream_of_message(struct endpoint *endpoint, const struct message *message, uint32_t address)
{
    static const uint8_t kinds[] = {0, TEAM_STREAM_COPY, TEAM_STREAM_COMBINE_TO, TEAM_STREAM_COMBINE}; /* by cast */
    enum team_stream kind = (enum team_stream)kinds[address >> MESSAGE_CAST_BIT & 3];
    uint32_t team = address & (MESSAGE_TEAMS_MAX - 1);
    uint32_t owner = kind == TEAM_STREAM_COMBINE ? 0 : member_of_rank(&endpoint->config.teams->teams[team], message->dst_rank);
    return stream_of(endpoint, message->src_host, team, kind, owner);
}

/* Timers of casts name host and slot; the stream is that of the message, found again by its address. */
void team_send(struct endpoint *endpoint, const struct message *message, uint64_t start_ps, uint64_t now_ps)
{
    uint32_t host_id = message->src_host, slot = cast_take(endpoint, host_id);
    struct stream *stream = stream_of_message(endpoint, message, message->dst_host);
    struct cast *cast = cast_at(endpoint, host_id, slot);
    uint32_t count = (uint32_t)shape_packets(&endpoint->config.shape, message->bytes);
    *cast = (struct cast){.message = *message, .first = stream->posted, .count = count, .left = count, .next = ID_NONE,
                          .is_ready = start_ps <= now_ps};
    cast->message.posted_ps = now_ps;
    stream->posted += count;
    if (stream->head == ID_NONE) {
        stream->head = slot;
    } else {
        cast_at(endpoint, host_id, stream->tail)->next = slot;
    }
    stream->tail = slot;
    stream->unready = stream->unready == ID_NONE ? slot : stream->unready;
    if (cast->is_ready) {
        ready_advance(endpoint, stream, now_ps);
    } else {
        engine_timer(endpoint->engine, host_id, start_ps, HOST_TIMER, TEAM_TIMER | slot);
    }
}

void team_due(struct endpoint *endpoint, uint32_t host_id, uint32_t slot, uint64_t now_ps)
{
    struct cast *cast = cast_at(endpoint, host_id, slot);
    cast->is_ready = true;
    ready_advance(endpoint, stream_of_message(endpoint, &cast->message, cast->message.dst_host), now_ps);
}

static uint32_t group_dst(const struct endpoint *endpoint, uint32_t group, uint32_t tree)
{
    return (endpoint->config.fabric->host_count + group + tree) & (FABRIC_HOSTS_MAX - 1);
}

static uint32_t data_group(const struct stream *stream)
{
    return stream->kind == TEAM_STREAM_COPY         ? stream->team->copy_group
           : stream->kind == TEAM_STREAM_COMBINE_TO ? stream->team->owner_group[stream->owner]
                                                    : stream->team->combine_group;
}

/* Every quarter of the window, and with the last packet of a message on a tree. */
static bool is_to_be_told(const struct stream *stream, uint64_t number, uint64_t in_tree, const struct cast *cast)
{
    uint32_t quarter = stream->team->window / 4;
    return cast->first + cast->count - number <= stream->team->tree_count || quarter < 2 || (in_tree + 1) % quarter == 0;
}

/* What a member says of what it has received on a tree; of acknowledgements of copies the number is what joins them. */
static void progress_tell(struct endpoint *endpoint, struct stream *stream, uint32_t tree, uint64_t received, uint64_t now_ps)
{
    bool is_copy = stream->kind == TEAM_STREAM_COPY;
    uint32_t host = stream_host(stream);
    uint32_t group = is_copy ? stream->team->owner_group[stream->owner] : stream->team->copy_group;
    const struct packet ack = {
        .dst = group_dst(endpoint, group, tree) & (FABRIC_HOSTS_MAX - 1),
        .src = host & (FABRIC_HOSTS_MAX - 1),
        .flow = stream->owner & (FLOW_SLOTS_MAX - 1),
        .seq = (SEQ_ACK | (is_copy ? stream->trees[tree].ack_count++ & SEQ_MASK : 0)) & (FLOW_PACKETS_MAX - 1),
        .size_bytes = endpoint->config.shape.ack_bytes & PACKET_BYTES_MAX,
        .entropy = received & 0xffff,
        .kind = PACKET_ACK,
        .class = endpoint->control_class & 7u,
    };
    control_send_by(endpoint, &ack, stream_port(stream, tree), now_ps);
}

static void stream_send(struct endpoint *endpoint, struct stream *stream, uint32_t tree, uint64_t now_ps, struct packet *packet)
{
    struct tree_state *state = &stream->trees[tree];
    uint32_t slot, host = stream_host(stream);
    uint64_t number = packet_number(stream, tree, state->sent);
    const struct cast *cast = cast_of(endpoint, stream, number, &slot);
    bool asks = stream->kind == TEAM_STREAM_COPY && is_to_be_told(stream, number, state->sent, cast);
    *packet = (struct packet){
        .dst = group_dst(endpoint, data_group(stream), tree) & (FABRIC_HOSTS_MAX - 1),
        .src = host & (FABRIC_HOSTS_MAX - 1),
        .flow = slot & (FLOW_SLOTS_MAX - 1),
        .seq = state->sent & SEQ_MASK,
        .size_bytes = shape_packet_bytes(&endpoint->config.shape, cast->message.bytes, number - cast->first) & PACKET_BYTES_MAX,
        .kind = PACKET_DATA,
        .asks_ack = asks,
    };
    state->sent++;
    endpoint->hosts[host].counters.data_packets_sent++;
    if (asks) { /* the switches wait for all of the team */
        progress_tell(endpoint, stream, tree, state->sent, now_ps);
    }
}

bool team_pull(struct endpoint *endpoint, uint32_t host_id, uint32_t port, uint64_t now_ps, struct packet *packet)
{
    struct turn_ring *ring = &endpoint->team_hosts[host_id].rings[port];
    while (ring->count > 0) {
        struct turn turn = ring->turns[ring->head];
        ring->head = (ring->head + 1) & (ring->capacity - 1);
        ring->count--;
        turn.stream->queued_trees &= ~(UINT64_C(1) << turn.tree);
        if (tree_may_send(turn.stream, turn.tree)) {
            stream_send(endpoint, turn.stream, turn.tree, now_ps, packet);
            tree_wake(endpoint, turn.stream, turn.tree, now_ps); /* streams of a port take turns */
            return true;
        }
    }
    return false;
}

/* ---- what comes of it ------------------------------------------------------------------------------------- */

static void cast_end(struct endpoint *endpoint, struct stream *stream, const struct cast *over, uint64_t now_ps)
{
    struct message message = over->message;
    struct endpoint_counters *counters = &endpoint->hosts[message.src_host].counters;
    struct message_fate fate = {.delivered_ps = now_ps + endpoint->config.nic_ps};
    bool has_result = stream->kind == TEAM_STREAM_COMBINE || (stream->kind == TEAM_STREAM_COMBINE_TO && stream->owner == stream->self);
    message.dst_host = message.src_host;
    counters->messages_delivered++;
    counters->messages_acked++;
    if (has_result) {
        struct message result = message;
        result.dst_rank = message.src_rank;
        delivery_tell(endpoint, &result, now_ps);
    }
    endpoint->config.ops->acked(endpoint->config.context, &message, &fate, now_ps);
}

/* Casts that are accounted for leave the list from its head; the owner may post new ones meanwhile. */
static void casts_end(struct endpoint *endpoint, struct stream *stream, uint64_t now_ps)
{
    uint32_t host_id = stream_host(stream);
    struct team_host *host = &endpoint->team_hosts[host_id];
    while (stream->head != ID_NONE) {
        uint32_t slot = stream->head;
        struct cast *cast = cast_at(endpoint, host_id, slot);
        if (cast->left > 0) {
            return;
        }
        stream->head = cast->next;
        stream->tail = stream->head == ID_NONE ? ID_NONE : stream->tail;
        stream->cursor = stream->cursor == slot ? ID_NONE : stream->cursor;
        struct cast over = *cast;
        cast->next = host->free_cast;
        host->free_cast = slot;
        cast_end(endpoint, stream, &over, now_ps);
    }
}

/* So many more packets of the tree have come to where they should. */
static void progress_take(struct endpoint *endpoint, struct stream *stream, uint32_t tree, uint32_t count, uint64_t now_ps)
{
    struct tree_state *state = &stream->trees[tree];
    DASSERT(state->done + count <= state->sent);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot;
        cast_of(endpoint, stream, packet_number(stream, tree, state->done + i), &slot)->left--;
    }
    endpoint->hosts[stream_host(stream)].counters.data_packets_delivered += count;
    endpoint->hosts[stream_host(stream)].counters.moved_ps = now_ps;
    state->done += count;
    tree_wake(endpoint, stream, tree, now_ps);
    casts_end(endpoint, stream, now_ps);
}

static void payload_count(struct endpoint *endpoint, const struct stream *stream, const struct packet *packet)
{
    endpoint->hosts[stream_host(stream)].counters.payload_bytes_delivered +=
        packet->size_bytes - endpoint->config.shape.header_bytes;
}

/* ---- combined ones ---------------------------------------------------------------------------------------- */

static void result_receive(struct endpoint *endpoint, struct stream *stream, uint32_t tree, const struct packet *packet, uint64_t now_ps)
{
    struct tree_state *state = &stream->trees[tree];
    DASSERT(packet->seq == (state->done & SEQ_MASK)); /* T2 */
    payload_count(endpoint, stream, packet);
    if (stream->kind == TEAM_STREAM_COMBINE_TO) {
        uint32_t slot;
        uint64_t number = packet_number(stream, tree, state->done);
        const struct cast *cast = cast_of(endpoint, stream, number, &slot);
        if (is_to_be_told(stream, number, state->done, cast)) {
            progress_tell(endpoint, stream, tree, state->done + 1, now_ps);
        }
    }
    progress_take(endpoint, stream, tree, 1, now_ps);
}

/* ---- copied ones ------------------------------------------------------------------------------------------ */

static struct coming *coming_of(struct endpoint *endpoint, struct stream *stream, uint32_t slot, uint32_t count)
{
    for (uint32_t i = 0; i < stream->coming_count; i++) {
        if (stream->coming[i].slot == slot) {
            return &stream->coming[i];
        }
    }
    if (stream->coming_count == stream->coming_capacity) {
        uint32_t capacity = stream->coming_capacity == 0 ? 2 : 2 * stream->coming_capacity;
        struct coming *coming = arena_array(endpoint->arena, capacity, struct coming);
        for (uint32_t i = 0; i < stream->coming_count; i++) {
            coming[i] = stream->coming[i];
        }
        stream->coming = coming;
        stream->coming_capacity = capacity;
    }
    stream->coming[stream->coming_count] = (struct coming){slot, count};
    return &stream->coming[stream->coming_count++];
}

static void copy_receive(struct endpoint *endpoint, struct stream *stream, uint32_t tree, const struct packet *packet, uint64_t now_ps)
{
    struct tree_state *state = &stream->trees[tree];
    const struct cast *cast = cast_at(endpoint, packet->src, packet->flow); /* T3 */
    struct coming *coming = coming_of(endpoint, stream, packet->flow, cast->count);
    DASSERT(packet->seq == (state->done & SEQ_MASK)); /* T2 */
    state->done++;
    payload_count(endpoint, stream, packet);
    struct message message = cast->message;
    bool is_all = --coming->left == 0;
    if (is_all) {
        *coming = stream->coming[--stream->coming_count];
    }
    if (packet->asks_ack) {
        progress_tell(endpoint, stream, tree, state->done, now_ps);
    }
    if (is_all) {
        message.dst_rank = stream->team->rank[stream->self];
        message.dst_host = stream_host(stream);
        delivery_tell(endpoint, &message, now_ps);
    }
}

static void told(struct endpoint *endpoint, struct stream *stream, uint32_t tree, const struct packet *packet, uint64_t now_ps)
{
    uint16_t more = (uint16_t)(packet->entropy - (uint16_t)stream->trees[tree].done);
    progress_take(endpoint, stream, tree, more, now_ps);
}

void team_receive(struct endpoint *endpoint, uint32_t host, const struct packet *packet, uint64_t now_ps)
{
    const struct team_table *table = endpoint->config.teams;
    const struct team_group *group = &table->group[packet->dst - endpoint->config.fabric->host_count];
    uint32_t tree = group->tree;
    if (group->stream == TEAM_STREAM_COPY) {
        if (packet->kind == PACKET_ACK) {
            told(endpoint, stream_of(endpoint, host, group->team, TEAM_STREAM_COMBINE_TO, packet->flow), tree, packet, now_ps);
            return;
        }
        uint32_t sender = table->host_member[seat_of(endpoint, packet->src, group->team)];
        copy_receive(endpoint, stream_of(endpoint, host, group->team, TEAM_STREAM_COPY, sender), tree, packet, now_ps);
        return;
    }
    if (packet->kind == PACKET_ACK) {
        told(endpoint, stream_of(endpoint, host, group->team, TEAM_STREAM_COPY, group->owner), tree, packet, now_ps);
        return;
    }
    result_receive(endpoint, stream_of(endpoint, host, group->team, (enum team_stream)group->stream, group->owner), tree, packet,
                   now_ps);
}

/* ---- life ------------------------------------------------------------------------------------------------- */

void teams_init(struct endpoint *endpoint)
{
    const struct team_table *table = endpoint->config.teams;
    uint32_t hosts = endpoint->config.fabric->host_count;
    if (table == NULL) {
        return;
    }
    endpoint->team_hosts = arena_array(endpoint->arena, hosts, struct team_host);
    for (uint32_t i = 0; i < hosts; i++) {
        struct team_host *host = &endpoint->team_hosts[i];
        host->free_cast = ID_NONE;
        host->seats = arena_array(endpoint->arena, table->host_first[i + 1] - table->host_first[i], struct seat);
        host->rings = arena_array(endpoint->arena, host_ports(endpoint, i), struct turn_ring);
        host->is_turn = arena_array(endpoint->arena, host_ports(endpoint, i), bool);
    }
}

bool team_is_turn(const struct endpoint *endpoint, uint32_t host, uint32_t port)
{
    bool *is_turn = &endpoint->team_hosts[host].is_turn[port];
    *is_turn = !*is_turn;
    return *is_turn;
}
