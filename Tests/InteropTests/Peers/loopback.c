// Loaded into a server that can choose neither its address nor its port: whatever it binds is on the
// loopback interface and on a free port, which is told on standard error.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

int bind(int descriptor, const struct sockaddr *address, socklen_t length) {
    int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 local6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    switch (address->sa_family) {
    case AF_INET: return next(descriptor, (struct sockaddr *)&local, sizeof local);
    case AF_INET6: return next(descriptor, (struct sockaddr *)&local6, sizeof local6);
    default: return next(descriptor, address, length);
    }
}

int listen(int descriptor, int backlog) {
    int (*next)(int, int) = dlsym(RTLD_NEXT, "listen");
    struct sockaddr_in local;
    socklen_t length = sizeof local;
    int result = next(descriptor, backlog);
    if (result == 0 && getsockname(descriptor, (struct sockaddr *)&local, &length) == 0 &&
        local.sin_family == AF_INET) {
        fprintf(stderr, "\nLISTENING %d\n", ntohs(local.sin_port));
    }
    return result;
}
