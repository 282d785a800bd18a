/*
 * Makes the listener of a program that knows TCP alone an MPTCP one, and nothing else of it.
 *
 *     LD_PRELOAD=listen.so ANABRANCH_BENCH_PORT=3128 PROGRAM
 *
 * mptcpize(8) makes every socket of a program an MPTCP one, those towards the origins as well: a converter does not pay for those,
 * and HAProxy 3 (`bind mptcp4@`) does not either. A peer must not look dearer than it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(fd, level, name, &value, &length) == 0 ? value : -1;
}

/* The options a listener is given before it is bound; accepted sockets take theirs from it. */
static void copy(int from, int to)
{
    static const int options[][2] = {
        {SOL_SOCKET, SO_REUSEADDR}, {SOL_SOCKET, SO_REUSEPORT}, {SOL_SOCKET, SO_KEEPALIVE},
        {IPPROTO_IPV6, IPV6_V6ONLY}, {IPPROTO_TCP, TCP_DEFER_ACCEPT}, {IPPROTO_TCP, TCP_NODELAY},
    };
    for (unsigned i = 0; i < sizeof options / sizeof *options; i++) {
        int value = option(from, options[i][0], options[i][1]);
        if (value > 0)
            setsockopt(to, options[i][0], options[i][1], &value, sizeof value);
    }
    fcntl(to, F_SETFL, fcntl(from, F_GETFL));
}

static int port_of(const struct sockaddr *address, socklen_t length)
{
    if (address->sa_family == AF_INET && length >= sizeof(struct sockaddr_in))
        return ntohs(((const struct sockaddr_in *)address)->sin_port);
    if (address->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6))
        return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    return 0;
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    int (*real)(int, const struct sockaddr *, socklen_t) = (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "bind");
    const char *wanted = getenv("ANABRANCH_BENCH_PORT");
    if (wanted && atoi(wanted) == port_of(address, length) && port_of(address, length) != 0 &&
        option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP) {
        int mptcp = socket(option(fd, SOL_SOCKET, SO_DOMAIN), SOCK_STREAM, IPPROTO_MPTCP);
        if (mptcp >= 0) {
            copy(fd, mptcp);
            /* Joined subflows follow the listener, whatever their route says. */
            setsockopt(mptcp, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
            dup3(mptcp, fd, fcntl(fd, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0);
            close(mptcp);
        }
    }
    return real(fd, address, length);
}
