// A listening TCP socket that a program inherits as its standard input: for servers that can neither
// choose a port nor say which one they got. It listens before the program runs, so nothing has to
// wait for that.

import Foundation
import Glibc
import Sockets

/// Listens on a port of the system's choice.
struct InheritedListener {
    /// To give to the program.
    let handle: FileHandle
    let address: SocketAddress

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Self.failure("socket") }
        handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            // The C interface takes any address by the pointer to its head; the length says which.
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { head in
                unsafe bind(descriptor, head, length) == 0 && listen(descriptor, 64) == 0
                    && getsockname(descriptor, head, &length) == 0
            }
        }
        guard isBound else { throw Self.failure("bind, listen or getsockname") }
        self.address = SocketAddress("127.0.0.1", port: UInt16(bigEndian: address.sin_port))
    }

    private static func failure(_ call: String) -> ForeignFailure {
        ForeignFailure(description: "\(call) failed with errno \(errno)")
    }
}
