/* A network without a replay: messages between hosts of a fabric, through the endpoints and an engine. */
#ifndef PHOTONET_TESTS_NET_H
#define PHOTONET_TESTS_NET_H

#include "netsim/scenario.h"
#include "netsim/transport/endpoint.h"

/* Messages first .. end - 1 that are posted one after the other. */
struct net_pool {
    size_t next, end;
};

struct net_message {
    uint32_t src, dst, channel, post_ns;
    uint64_t bytes, posted_ps, delivered_ps, acked_ps;
    uint32_t delivered, acked, retransmissions;
    struct message_fate fate;
    size_t then; /* message that is posted at its own host the moment this one is acknowledged; 0: none */
    struct net_pool *then_of; /* or: the next one of these, while there is one */
};

struct net {
    struct arena *arena;
    const struct fabric *fabric;
    struct scenario scenario;
    struct routes *routes;
    struct ways ways;
    struct transport_facts facts;
    struct queue_profile queues, host_queues;
    struct endpoint *endpoint;
    struct engine *engine;
    struct net_message *messages; /* from 1 */
    size_t count, capacity;
};

/* `settings` is "key=value key=value" of the scenario; `engine` NULL: the fastest that serves the queues.
 * Ends the program where a setting is bad. */
struct net *net_new(struct arena *arena, const struct fabric *fabric, const char *settings, uint64_t seed,
                    const struct engine_class *engine);
/* The fabric of a preset or family with such settings. */
struct fabric *net_fabric(struct arena *arena, const char *spec, const char *settings);

size_t net_add(struct net *net, uint32_t src, uint32_t dst, uint64_t bytes);
void net_post(struct net *net, size_t message, uint64_t when_ps);
/* To the end, or up to twenty simulated seconds: go-back-N over many paths can take one. */
void net_run(struct net *net);
uint64_t net_end_ps(const struct net *net); /* the last acknowledgement */

struct port_counters net_counters(const struct net *net, uint32_t port);
struct port_counters net_counters_sum(const struct net *net);

/* Checks that everything was delivered and acknowledged once, that nothing is left on the way, and that
 * every link gave what it got. */
void net_check_drained(const struct net *net);

#endif
