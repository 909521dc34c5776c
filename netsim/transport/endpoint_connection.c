/* Connections: messages of one pair of ranks in order, as queue pairs of RDMA carry them; segments of long messages.
 *
 *      oldest ──────────────────────────────────────────────► newest      next_slot
 *      head               cursor                        tail
 *      sent, not all      packets leave for the         wait for their turn
 *      acknowledged       first time
 *
 * A pair has config.connections of them for each channel (message.h), used in turn; 0: every message is a connection of its
 * own (what uet-htsim and csg-htsim do). The next message begins to leave when the last packet of the one before has left, not when that is
 * acknowledged. All messages of a connection share what the transport steers (struct steer): window, rate, entropies, and
 * they take one path where load balancing is per message. Both ends finish them in order: a message that is complete before
 * an older one is held back.
 *
 * C1  Only the source host writes head, cursor, tail, posted and steer; only the destination delivered and held.
 * C2  A slot is freed in order at the sender, which has heard of the delivery of all before; so what is held at the
 *     receiver is still there.
 * C3  A pair whose messages are all over is forgotten where its connections are as new ones would be (the transport has
 *     learnt nothing): the receiver has looked at them for the last time (C2). Its path is a hash of its key, so it is the
 *     same when it comes again. Where the transport learns, pairs stay: as many as have ever talked. */
#include "netsim/transport/endpoint_int.h"

#include "netsim/base/rng.h"

#include <string.h>

/* ---- the sender's half ------------------------------------------------------------------------------------ */

static uint64_t pair_hash(uint64_t key, uint32_t channel)
{
    return rng_mix(key ^ (uint64_t)channel << 32);
}

static struct pair *pairs_probe(const struct host *host, uint64_t key, uint32_t channel)
{
    for (uint64_t at = pair_hash(key, channel);; at++) {
        struct pair *pair = &host->pairs[at & (host->pair_capacity - 1)];
        if (pair->connections == NULL || (pair->key == key && pair->channel == channel)) {
            return pair;
        }
    }
}

/* At most half full. */
static void pairs_grow(struct endpoint *endpoint, struct host *host)
{
    struct pair *old = host->pairs;
    uint32_t old_capacity = host->pair_capacity;
    host->pair_capacity = old_capacity == 0 ? 8 : old_capacity * 2;
    host->pairs = arena_array(endpoint->arena, host->pair_capacity, struct pair);
    for (uint32_t i = 0; i < old_capacity; i++) {
        if (old[i].connections != NULL) {
            *pairs_probe(host, old[i].key, old[i].channel) = old[i];
        }
    }
}

static struct connection *connection_at(const struct endpoint *endpoint, const struct pair *pair, uint32_t index)
{
    return (struct connection *)((uint8_t *)pair->connections + index * endpoint->connection_bytes);
}

static struct connection *connections_take(struct endpoint *endpoint, struct host *host)
{
    struct connection *taken = host->free_connections;
    if (taken == NULL) {
        return arena_alloc_array(endpoint->arena, endpoint->config.connections, endpoint->connection_bytes);
    }
    host->free_connections = *(struct connection **)(void *)taken;
    memset(taken, 0, endpoint->config.connections * endpoint->connection_bytes);
    return taken;
}

static struct pair *pair_of(struct endpoint *endpoint, struct host *host, const struct message *message, uint32_t channel)
{
    if (host->pair_count * 2 >= host->pair_capacity) {
        pairs_grow(endpoint, host);
    }
    uint64_t key = (uint64_t)message->src_rank << 32 | message->dst_rank;
    struct pair *pair = pairs_probe(host, key, channel);
    if (pair->connections != NULL) {
        return pair;
    }
    host->pair_count++;
    *pair = (struct pair){.key = key, .channel = channel, .connections = connections_take(endpoint, host)};
    for (uint32_t i = 0; i < endpoint->config.connections; i++) {
        struct connection *connection = connection_at(endpoint, pair, i);
        connection->key = key;
        connection->channel = channel;
        connection->head = connection->tail = connection->cursor = connection->held = ID_NONE;
    }
    return pair;
}

/* Takes the pair out of the table; what it displaced moves up, so that no probe ends early. */
static void pairs_remove(struct host *host, struct pair *pair)
{
    uint32_t mask = host->pair_capacity - 1, gap = (uint32_t)(pair - host->pairs);
    for (uint32_t at = (gap + 1) & mask; host->pairs[at].connections != NULL; at = (at + 1) & mask) {
        uint32_t home = (uint32_t)pair_hash(host->pairs[at].key, host->pairs[at].channel) & mask;
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            host->pairs[gap] = host->pairs[at];
            gap = at;
        }
    }
    host->pairs[gap] = (struct pair){0};
    host->pair_count--;
}

/* Whether the connection is as a new one would be. */
static bool is_as_new(const struct endpoint *endpoint, struct connection *connection, uint64_t now_ps)
{
    const struct transport *transport = endpoint->transport;
    bool learns = transport->acked != NULL || transport->nacked != NULL || transport->timed_out != NULL;
    return connection->head == ID_NONE && !learns && !endpoint->recycles && !has_flowlets(endpoint) &&
           !is_too_soon(endpoint, &connection->steer, now_ps);
}

/* C3 */
static void pair_close(struct endpoint *endpoint, const struct connection *connection, uint32_t host_id, uint64_t now_ps)
{
    struct host *host = &endpoint->hosts[host_id];
    struct pair *pair = pairs_probe(host, connection->key, connection->channel);
    if (pair->posted % endpoint->config.connections != 0) {
        return;
    }
    for (uint32_t i = 0; i < endpoint->config.connections; i++) {
        if (!is_as_new(endpoint, connection_at(endpoint, pair, i), now_ps)) {
            return;
        }
    }
    struct connection *connections = pair->connections;
    *(struct connection **)(void *)connections = host->free_connections;
    host->free_connections = connections;
    pairs_remove(host, pair);
}

/* Of a pair, a channel and one of its connections: 40 bits beside the source host, as those of messages. Channel 0 has the
 * path that netsim/flow/platform.c gives the pair. */
static uint64_t path_identity(const struct message *message, uint32_t channel, uint32_t index)
{
    uint64_t key = (uint64_t)message->src_rank << 32 | message->dst_rank;
    uint64_t other = channel == 0 && index == 0 ? 0 : rng_mix(pair_hash(key, channel) + index) >> 24;
    return (uint64_t)message->src_host << 40 | (message->dst_host ^ other);
}

void connection_join(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint32_t channel)
{
    uint32_t host_id = flow->message.src_host;
    struct pair *pair = pair_of(endpoint, &endpoint->hosts[host_id], &flow->message, channel);
    uint32_t index = pair->posted++ % endpoint->config.connections;
    struct connection *connection = connection_at(endpoint, pair, index);
    flow->has_connection = true;
    flow->shared_steer = &connection->steer;
    *membership_of(flow) = (struct membership){connection->posted++, ID_NONE};
    if (connection->head == ID_NONE) {
        connection->head = slot;
    } else {
        membership_of(flow_at(endpoint, host_id, connection->tail))->next_slot = slot;
    }
    connection->tail = slot;
    flow->waits_turn = connection->cursor != ID_NONE;
    connection->cursor = flow->waits_turn ? connection->cursor : slot;
    if (balance_has(endpoint->config.balance, BALANCE_PINNED)) {
        flow_identity_set(flow, path_identity(&flow->message, channel, index));
    }
}

void connection_sent_all(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    struct connection *connection = flow_connection(flow);
    if (connection->cursor != slot) {
        return; /* it had been before, and went back */
    }
    connection->cursor = membership_of(flow)->next_slot;
    if (connection->cursor != ID_NONE) {
        struct flow *next = flow_at(endpoint, flow->message.src_host, connection->cursor);
        next->waits_turn = false;
        flow_start(endpoint, next, connection->cursor, now_ps);
    }
}

/* What one message's answer frees, others may be waiting for: the one that is sent, and those that lost something. */
void connection_wake(struct endpoint *endpoint, const struct connection *connection, uint32_t host_id, uint64_t now_ps)
{
    uint32_t slot = connection->lost_count > 0 ? connection->head : connection->cursor;
    while (slot != ID_NONE) {
        struct flow *flow = flow_at(endpoint, host_id, slot);
        if (flow->allowed_ports != 0) {
            flow_wake(endpoint, flow, slot, now_ps);
        }
        slot = slot == connection->cursor ? ID_NONE : membership_of(flow)->next_slot;
    }
}

/* Finishes what is acknowledged, oldest first. The owner may post new messages meanwhile. */
void connection_finish(struct endpoint *endpoint, struct connection *connection, uint32_t host_id, uint64_t now_ps)
{
    while (connection->head != ID_NONE) {
        uint32_t slot = connection->head;
        struct flow *flow = flow_at(endpoint, host_id, slot);
        if (flow->acked_count < flow->packet_count) {
            return;
        }
        connection->head = membership_of(flow)->next_slot;
        connection->tail = connection->head == ID_NONE ? ID_NONE : connection->tail;
        flow_end(endpoint, flow, slot, now_ps);
    }
    pair_close(endpoint, connection, host_id, now_ps);
}

/* ---- the receiver's half ---------------------------------------------------------------------------------- */

/* Takes the message with this number out of those that are held. */
static struct flow *held_take(const struct endpoint *endpoint, struct connection *connection, uint32_t src_host,
                              uint32_t ordinal)
{
    for (uint32_t *link = &connection->held; *link != ID_NONE;) {
        struct flow *flow = flow_at(endpoint, src_host, *link);
        if (membership_of(flow)->ordinal == ordinal) {
            *link = flow->held_next;
            return flow;
        }
        link = &flow->held_next;
    }
    return NULL;
}

void connection_deliver(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    struct connection *connection = flow_connection(flow);
    uint32_t src_host = flow->message.src_host;
    if (membership_of(flow)->ordinal != connection->delivered) {
        flow->held_next = connection->held;
        connection->held = slot;
        return;
    }
    for (struct flow *next = flow; next != NULL;) {
        connection->delivered++;
        flow_deliver(endpoint, next, now_ps);
        next = held_take(endpoint, connection, src_host, connection->delivered);
    }
}

/* ---- segments --------------------------------------------------------------------------------------------- */

struct parent *parent_take(struct endpoint *endpoint, const struct message *message, uint32_t count)
{
    struct host *host = &endpoint->hosts[message->src_host];
    if (host->free_parent == 0) {
        struct parent *made = arena_one(endpoint->arena, struct parent);
        vec_push(endpoint->arena, host->parents, host->parent_count, host->parent_capacity) = made;
        made->number = host->free_parent = (uint32_t)host->parent_count;
    }
    struct parent *parent = host->parents[host->free_parent - 1];
    host->free_parent = parent->next_free;
    *parent = (struct parent){.message = *message, .count = count, .number = parent->number};
    return parent;
}

static void fate_add(struct message_fate *sum, const struct message_fate *fate)
{
    sum->retransmissions += fate->retransmissions;
    sum->nacks += fate->nacks;
    sum->trimmed += fate->trimmed;
    sum->duplicates += fate->duplicates;
    sum->reordered += fate->reordered;
    sum->reorder_sum += fate->reorder_sum;
    sum->reorder_max = fate->reorder_max > sum->reorder_max ? fate->reorder_max : sum->reorder_max;
    sum->delivered_ps = fate->delivered_ps > sum->delivered_ps ? fate->delivered_ps : sum->delivered_ps;
}

bool parent_finish(struct endpoint *endpoint, struct parent *parent, struct message *message, struct message_fate *fate)
{
    fate_add(&parent->fate, fate);
    if (++parent->acked < parent->count) {
        return false;
    }
    struct host *host = &endpoint->hosts[parent->message.src_host];
    *message = parent->message;
    *fate = parent->fate;
    parent->next_free = host->free_parent;
    host->free_parent = parent->number;
    return true;
}
