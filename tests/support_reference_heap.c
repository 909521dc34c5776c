/* The reference engine's pending events. */
#include "tests/reference_int.h"

static bool event_before(const struct event *a, const struct event *b)
{
    if (a->time_ps != b->time_ps) {
        return a->time_ps < b->time_ps;
    }
    if (a->node != b->node) {
        return a->node < b->node;
    }
    if (a->kind != b->kind) {
        return a->kind < b->kind;
    }
    if (a->port != b->port) {
        return a->port < b->port;
    }
    return a->argument < b->argument;
}

void event_heap_push(struct event_heap *heap, const struct event *event)
{
    vec_push(heap->arena, heap->events, heap->count, heap->capacity) = *event;
    size_t at = heap->count - 1;
    while (at > 0 && event_before(event, &heap->events[(at - 1) / 2])) {
        heap->events[at] = heap->events[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->events[at] = *event;
}

struct event event_heap_pop(struct event_heap *heap)
{
    assert(heap->count > 0);
    struct event first = heap->events[0];
    struct event last = heap->events[--heap->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && event_before(&heap->events[child + 1], &heap->events[child])) {
            child++;
        }
        if (!event_before(&heap->events[child], &last)) {
            break;
        }
        heap->events[at] = heap->events[child];
        at = child;
    }
    if (heap->count > 0) {
        heap->events[at] = last;
    }
    return first;
}
