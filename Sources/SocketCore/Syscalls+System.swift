// The door to what the process has besides descriptors: threads, time, names, limits.

internal import CLinux

extension Syscalls {
    /// Returns CLOCK_MONOTONIC in nanoseconds.
    @inline(__always)
    static func monotonicNanoseconds() -> UInt64 {
        cl_clock()
    }

    /// Returns the processors this process may use (sched_getaffinity), at least 1.
    static func usableCores() -> Int {
        Int(cl_usable_cores())
    }

    /// Raises the soft descriptor limit to the hard one; returns the limit in force, or minus the
    /// errno.
    static func raiseDescriptorLimit() -> Int {
        Int(cl_raise_descriptor_limit())
    }

    /// Returns libc's sentence for an errno.
    static func errorText(_ code: Int32) -> String {
        var text: [256 of CChar] = .init(repeating: 0)
        // strerror_r ends the text with a NUL within the room it is given.
        return unsafe withUnsafeMutableBytes(of: &text) { bytes in
            guard let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: CChar.self) else {
                return ""
            }
            unsafe cl_error_text(code, start, bytes.count)
            return unsafe String(cString: start)
        }
    }
}

// MARK: - Threads

extension Syscalls {
    /// Starts a detached thread with a name of at most 15 bytes; longer ones are cut.
    static func startThread(
        named name: String,
        _ body: @escaping @Sendable () -> Void
    ) throws(SystemCallError) {
        let start = ThreadStart(name: name, body: body)
        let context = unsafe Unmanaged.passRetained(start)
        let result = unsafe cl_thread_start(
            { context in
                guard let context = unsafe context else {
                    return nil
                }
                // The pointer is the retained `ThreadStart` below; this is its one release.
                let start = unsafe Unmanaged<ThreadStart>.fromOpaque(context).takeRetainedValue()
                unsafe cl_thread_set_name(
                    String(decoding: start.name.utf8.prefix(15), as: UTF8.self)
                )
                start.body()
                return nil
            },
            context.toOpaque()
        )
        if result < 0 {
            unsafe context.release()
        }
        try check(result, "pthread_create")
    }

    /// Returns the name of the calling thread.
    package static func threadName() -> String {
        var name: [16 of CChar] = .init(repeating: 0)
        return unsafe withUnsafeMutableBytes(of: &name) { bytes in
            guard let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: CChar.self) else {
                return ""
            }
            unsafe cl_thread_name(start)
            return unsafe String(cString: start)
        }
    }

    /// The mark of the loop whose thread is running here; nil on other threads.
    @inline(__always)
    static var loopHere: UnsafeMutableRawPointer? {
        unsafe cl_loop_here()
    }

    static func setLoopHere(_ loop: UnsafeMutableRawPointer?) {
        unsafe cl_set_loop_here(loop)
    }
}

private final class ThreadStart: Sendable {
    let name: String
    let body: @Sendable () -> Void

    init(name: String, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
    }
}

// MARK: - Scratch

extension Syscalls {
    /// Returns the calling thread's scratch areas, in one block with unmapped guards between them.
    @inline(__always)
    static func scratch() -> UnsafeMutablePointer<UInt8> {
        guard let area = unsafe cl_scratch() else {
            preconditionFailure("no memory for a thread's scratch area")
        }
        return unsafe area
    }
}

// MARK: - Names

extension Syscalls {
    /// Most addresses taken from one answer.
    static let addressesPerLookup = 64

    /// Runs getaddrinfo on the calling thread, which it may block for a long time.
    ///
    /// - Parameters:
    ///   - name: The name; nil asks for the loopback addresses, without any network.
    ///   - family: The addresses wanted.
    /// - Returns: Addresses in getaddrinfo's order (RFC 6724), duplicates included.
    /// - Throws: ``ResolutionError`` with the code that stands for the EAI code.
    static func lookUp(
        _ name: String?,
        family: AddressFamily
    ) throws(ResolutionError) -> [IPAddress] {
        var found = [cl_address](repeating: cl_address(), count: addressesPerLookup)
        var code: Int32 = 0
        var systemError: Int32 = 0
        let wanted: Int32 =
            switch family {
            case .any: 0
            case .ipv4: SocketFamily.ipv4.code
            case .ipv6: SocketFamily.ipv6.code
            }
        let count = unsafe found.withUnsafeMutableBufferPointer { buffer in
            // A nil name has its own call, since a Swift string cannot bridge to NULL.
            if let name {
                unsafe cl_lookup(
                    name,
                    wanted,
                    buffer.baseAddress,
                    Int32(buffer.count),
                    &code,
                    &systemError
                )
            } else {
                unsafe cl_lookup(
                    nil,
                    wanted,
                    buffer.baseAddress,
                    Int32(buffer.count),
                    &code,
                    &systemError
                )
            }
        }
        guard count >= 0 else {
            throw resolutionError(code, systemError: systemError)
        }
        return found.prefix(Int(count)).compactMap { address in
            guard case .ip(let ip, port: _) = FlatAddress(address).networkAddress else {
                return nil
            }
            return ip
        }
    }

    private static func resolutionError(_ code: Int32, systemError: Int32) -> ResolutionError {
        // gai_strerror returns a constant of libc.
        let text = unsafe String(cString: cl_lookup_error_text(code))
        let meaning: ResolutionError.Code =
            switch code {
            case cl_eai_no_name: .notFound
            case cl_eai_no_data, cl_eai_address_family: .noAddress
            case cl_eai_again: .temporaryFailure
            case cl_eai_fail: .permanentFailure
            case cl_eai_memory: .noMemory
            case cl_eai_system: .system(Errno(rawValue: systemError))
            default: .other(code)
            }
        return ResolutionError(meaning, detail: text)
    }
}
