import Glibc

/// A number the kernel or libc gives as the reason of a failure.
///
/// The constants carry swift-system's names. Any other code is kept as it is.
package struct Errno: RawRepresentable, Hashable, Sendable {
    package let rawValue: Int32

    package init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    package static let notPermitted = Errno(rawValue: EPERM)
    package static let noSuchFileOrDirectory = Errno(rawValue: ENOENT)
    package static let interrupted = Errno(rawValue: EINTR)
    package static let fileTooLarge = Errno(rawValue: EFBIG)
    package static let ioError = Errno(rawValue: EIO)
    package static let badFileDescriptor = Errno(rawValue: EBADF)
    package static let noMemory = Errno(rawValue: ENOMEM)
    package static let permissionDenied = Errno(rawValue: EACCES)
    package static let fileExists = Errno(rawValue: EEXIST)
    package static let noSuchDevice = Errno(rawValue: ENODEV)
    package static let invalidArgument = Errno(rawValue: EINVAL)
    package static let tooManyOpenFilesInSystem = Errno(rawValue: ENFILE)
    package static let tooManyOpenFiles = Errno(rawValue: EMFILE)
    package static let noSpace = Errno(rawValue: ENOSPC)
    package static let brokenPipe = Errno(rawValue: EPIPE)
    package static let wouldBlock = Errno(rawValue: EAGAIN)
    package static let fileNameTooLong = Errno(rawValue: ENAMETOOLONG)
    package static let protocolError = Errno(rawValue: EPROTO)
    package static let notSocket = Errno(rawValue: ENOTSOCK)
    package static let messageTooLong = Errno(rawValue: EMSGSIZE)
    package static let noProtocolOption = Errno(rawValue: ENOPROTOOPT)
    package static let protocolNotSupported = Errno(rawValue: EPROTONOSUPPORT)
    package static let notSupported = Errno(rawValue: EOPNOTSUPP)
    package static let addressFamilyNotSupported = Errno(rawValue: EAFNOSUPPORT)
    package static let addressInUse = Errno(rawValue: EADDRINUSE)
    package static let addressNotAvailable = Errno(rawValue: EADDRNOTAVAIL)
    package static let networkDown = Errno(rawValue: ENETDOWN)
    package static let networkUnreachable = Errno(rawValue: ENETUNREACH)
    package static let networkReset = Errno(rawValue: ENETRESET)
    package static let connectionAbort = Errno(rawValue: ECONNABORTED)
    package static let connectionReset = Errno(rawValue: ECONNRESET)
    package static let noBufferSpace = Errno(rawValue: ENOBUFS)
    package static let socketIsConnected = Errno(rawValue: EISCONN)
    package static let socketNotConnected = Errno(rawValue: ENOTCONN)
    package static let socketShutdown = Errno(rawValue: ESHUTDOWN)
    package static let timedOut = Errno(rawValue: ETIMEDOUT)
    package static let connectionRefused = Errno(rawValue: ECONNREFUSED)
    package static let hostIsDown = Errno(rawValue: EHOSTDOWN)
    package static let noRouteToHost = Errno(rawValue: EHOSTUNREACH)
    package static let notOnNetwork = Errno(rawValue: ENONET)
    package static let alreadyInProcess = Errno(rawValue: EALREADY)
    package static let nowInProgress = Errno(rawValue: EINPROGRESS)
    package static let canceled = Errno(rawValue: ECANCELED)

    /// The C name, such as "ECONNREFUSED"; "errno 123" for a code without a constant here.
    package var name: String {
        Self.names[rawValue] ?? "errno \(rawValue)"
    }

    private static let names: [Int32: String] = [
        EPERM: "EPERM", ENOENT: "ENOENT", EINTR: "EINTR", EIO: "EIO", EBADF: "EBADF",
        ENOMEM: "ENOMEM", EACCES: "EACCES", EEXIST: "EEXIST", ENODEV: "ENODEV", EINVAL: "EINVAL",
        ENFILE: "ENFILE", EMFILE: "EMFILE", ENOSPC: "ENOSPC", EPIPE: "EPIPE", EAGAIN: "EAGAIN",
        ENAMETOOLONG: "ENAMETOOLONG", EPROTO: "EPROTO", ENOTSOCK: "ENOTSOCK",
        EMSGSIZE: "EMSGSIZE", ENOPROTOOPT: "ENOPROTOOPT", EPROTONOSUPPORT: "EPROTONOSUPPORT",
        EOPNOTSUPP: "EOPNOTSUPP", EAFNOSUPPORT: "EAFNOSUPPORT", EADDRINUSE: "EADDRINUSE",
        EADDRNOTAVAIL: "EADDRNOTAVAIL", ENETDOWN: "ENETDOWN", ENETUNREACH: "ENETUNREACH",
        ENETRESET: "ENETRESET", ECONNABORTED: "ECONNABORTED", ECONNRESET: "ECONNRESET",
        ENOBUFS: "ENOBUFS", EISCONN: "EISCONN", ENOTCONN: "ENOTCONN", ESHUTDOWN: "ESHUTDOWN",
        ETIMEDOUT: "ETIMEDOUT", ECONNREFUSED: "ECONNREFUSED", EHOSTDOWN: "EHOSTDOWN",
        EHOSTUNREACH: "EHOSTUNREACH", EALREADY: "EALREADY", EINPROGRESS: "EINPROGRESS",
        ECANCELED: "ECANCELED", ENONET: "ENONET",
    ]
}

extension Errno: CustomStringConvertible {
    /// libc's sentence for the code, such as "Connection refused".
    package var description: String {
        Syscalls.errorText(rawValue)
    }
}

/// A system call that failed: which one, and why.
package struct SystemCallError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kernel's reason.
    package let errno: Errno
    /// The call as the manual names it, such as "connect".
    package let call: String

    package init(_ errno: Errno, call: String) {
        self.errno = errno
        self.call = call
    }

    package var description: String {
        "\(call): \(errno) (\(errno.name))"
    }
}
