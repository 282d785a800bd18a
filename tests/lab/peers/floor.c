/*
 * The floor: the least a process can do that turns CONNECT over MPTCP into TCP. One thread, one epoll, no policy, no log.
 *
 *     floor PORT
 *
 * It receives and sends; towards an MPTCP client it splices once a transfer has proved long (256 KiB), never out of an MPTCP
 * socket: splice saves into MPTCP and costs out of it. It is nothing to deploy: it trusts everybody and times nothing out.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

enum { CHUNK = 256 * 1024, LONG = 256 * 1024, PIPE = 1024 * 1024, TURN = 16, HEAD = 4096 };

struct tunnel;

/* One direction: what was read from `from` and is not yet written to `to`. */
struct pump {
    int from, to;
    char *left;
    size_t at, size;
    unsigned long moved;
    int pipe[2];
    size_t piped;
    int may_splice, ended, over;
};

struct tunnel {
    int client, origin; /* epoll's pointer is to one of these two, by its place */
    int connected, dead, queued;
    char *head;
    size_t filled;
    struct pump up, down;
    struct tunnel *next;
};

static char buffer[CHUNK];
static int poller;
static struct tunnel *again, *graves;

static int nodelay(int fd)
{
    int one = 1;
    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void watch(int *end)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = end};
    epoll_ctl(poller, EPOLL_CTL_ADD, *end, &event);
}

static void bury(struct tunnel *t)
{
    if (t->dead)
        return;
    t->dead = 1;
    struct pump *pumps[] = {&t->up, &t->down};
    for (int i = 0; i < 2; i++) {
        free(pumps[i]->left);
        if (pumps[i]->pipe[0]) {
            close(pumps[i]->pipe[0]);
            close(pumps[i]->pipe[1]);
        }
    }
    close(t->client);
    if (t->origin >= 0)
        close(t->origin);
    free(t->head);
    t->head = NULL;
    /* Events of this wake-up may still name it: it is freed after them. */
    if (!t->queued) {
        t->next = graves;
        graves = t;
    }
}

/* Writes what is kept: 1 when all is written, 0 when the socket is full, -1 when it failed. */
static int flush(struct pump *p)
{
    while (p->at < p->size) {
        ssize_t n = send(p->to, p->left + p->at, p->size - p->at, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        p->at += n;
    }
    free(p->left);
    p->left = NULL;
    p->at = p->size = 0;
    while (p->piped) {
        ssize_t n = splice(p->pipe[0], NULL, p->to, NULL, p->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n <= 0)
            return n < 0 && errno == EAGAIN ? 0 : -1;
        p->piped -= n;
    }
    return 1;
}

/* Reads once: 1 when something or the end came, 0 when there is nothing, -1 when it failed. */
static int take(struct pump *p)
{
    if (p->may_splice && p->moved >= LONG && !p->pipe[0] && pipe2(p->pipe, O_NONBLOCK) == 0)
        fcntl(p->pipe[1], F_SETPIPE_SZ, PIPE);
    if (p->pipe[0]) {
        ssize_t n = splice(p->from, NULL, p->pipe[1], NULL, PIPE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        p->ended = n == 0;
        p->piped += n;
        return 1;
    }
    ssize_t n = recv(p->from, buffer, sizeof buffer, 0);
    if (n < 0)
        return errno == EAGAIN ? 0 : -1;
    p->ended = n == 0;
    p->moved += n;
    ssize_t sent = n == 0 ? 0 : send(p->to, buffer, n, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN)
            return -1;
        sent = 0;
    }
    if (sent < n) {
        p->size = n - sent;
        p->left = malloc(p->size);
        if (!p->left)
            return -1;
        memcpy(p->left, buffer + sent, p->size);
    }
    return 1;
}

/* Moves what can be moved: 1 when it should have another turn, -1 when a leg failed. */
static int pump(struct pump *p)
{
    for (int turn = 0; turn < TURN && !p->over; turn++) {
        int written = flush(p);
        if (written <= 0)
            return written;
        if (p->ended) {
            shutdown(p->to, SHUT_WR);
            p->over = 1;
            return 0;
        }
        int taken = take(p);
        if (taken <= 0)
            return taken;
    }
    return !p->over;
}

static void run(struct tunnel *t)
{
    int up = pump(&t->up), down = pump(&t->down);
    if (up < 0 || down < 0 || (t->up.over && t->down.over)) {
        bury(t);
    } else if ((up || down) && !t->queued) {
        t->queued = 1;
        t->next = again;
        again = t;
    }
}

static int dial(struct tunnel *t)
{
    char host[64];
    unsigned port;
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (sscanf(t->head, "CONNECT %63[0-9.]:%u", host, &port) != 2 || inet_pton(AF_INET, host, &address.sin_addr) != 1)
        return -1;
    address.sin_port = htons(port);
    t->origin = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    nodelay(t->origin);
    if (connect(t->origin, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        return -1;
    watch(&t->origin);
    return 0;
}

/* Reads the request; dials once it is whole. */
static void ask(struct tunnel *t)
{
    ssize_t n = recv(t->client, t->head + t->filled, HEAD - 1 - t->filled, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        bury(t);
        return;
    }
    t->filled += n;
    t->head[t->filled] = 0;
    if (strstr(t->head, "\r\n\r\n") ? dial(t) < 0 : t->filled == HEAD - 1)
        bury(t);
}

/* The origin answers, or not: what the client said after its head goes first. */
static void answer(struct tunnel *t)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\n\r\n";
    int error = 0, protocol = 0;
    socklen_t length = sizeof error;
    getsockopt(t->origin, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error || send(t->client, ok, sizeof ok - 1, MSG_NOSIGNAL) < 0) {
        bury(t);
        return;
    }
    length = sizeof protocol;
    getsockopt(t->client, SOL_SOCKET, SO_PROTOCOL, &protocol, &length);
    t->connected = 1;
    t->up = (struct pump){.from = t->client, .to = t->origin};
    t->down = (struct pump){.from = t->origin, .to = t->client, .may_splice = protocol == IPPROTO_MPTCP};
    char *rest = strstr(t->head, "\r\n\r\n") + 4;
    t->up.size = t->filled - (rest - t->head);
    if (t->up.size) {
        t->up.left = malloc(t->up.size);
        memcpy(t->up.left, rest, t->up.size);
    }
    free(t->head);
    t->head = NULL;
    run(t);
}

static void accept_all(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct tunnel *t = calloc(1, sizeof *t);
        nodelay(fd);
        t->client = fd;
        t->origin = -1;
        t->head = malloc(HEAD);
        watch(&t->client);
    }
}

static void handle(struct epoll_event *event, int *listener)
{
    int *end = event->data.ptr;
    if (end == listener) {
        accept_all(*listener);
        return;
    }
    /* `client` and `origin` are the first two members, and a tunnel lies at a multiple of eight. */
    struct tunnel *t = (struct tunnel *)((unsigned long)end & ~7UL);
    if (t->dead)
        return;
    if (t->connected)
        run(t);
    else if (end == &t->origin && event->events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
        answer(t);
    else if (end == &t->client && t->origin < 0)
        ask(t);
    else if (end == &t->client && event->events & (EPOLLERR | EPOLLHUP))
        bury(t);
}

static int listen_on(int port)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_MPTCP);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 8192) < 0) {
        perror("floor");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    signal(SIGPIPE, SIG_IGN);
    int listener = listen_on(argc > 1 ? atoi(argv[1]) : 3128);
    poller = epoll_create1(EPOLL_CLOEXEC);
    watch(&listener);
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(poller, events, 256, again ? 0 : -1);
        for (int i = 0; i < count; i++)
            handle(&events[i], &listener);
        for (struct tunnel *t = again, *next = again = NULL; t; t = next) {
            next = t->next;
            t->queued = 0;
            if (t->dead) {
                t->next = graves;
                graves = t;
            } else {
                run(t);
            }
        }
        while (graves) {
            struct tunnel *next = graves->next;
            free(graves);
            graves = next;
        }
    }
}
