// Files and limits of the process, for tests that need them.

import Glibc

enum Files {
    struct Failure: Error {
        let errno: Int32
    }

    /// Writes a new file.
    static func write(_ bytes: [UInt8], to path: String) throws {
        let number = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard number >= 0 else { throw Failure(errno: errno) }
        defer { close(number) }
        var offset = 0
        while offset < bytes.count {
            let count = unsafe bytes[offset...].withUnsafeBytes {
                unsafe Glibc.write(number, $0.baseAddress, $0.count)
            }
            guard count > 0 else { throw Failure(errno: errno) }
            offset += count
        }
    }

    static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    /// Compares at memory's speed, also in debug builds.
    static func areEqual(_ left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>) -> Bool {
        guard left.count == right.count, !left.isEmpty else { return left.count == right.count }
        return unsafe left.withUnsafeBytes { left in
            unsafe right.withUnsafeBytes { right in
                guard let first = left.baseAddress, let second = right.baseAddress else {
                    return false
                }
                return unsafe memcmp(first, second, left.count) == 0
            }
        }
    }

    /// The descriptors that are open in this process.
    ///
    /// - Parameter limit: Only numbers below it are counted: a limit of open files is one of numbers.
    /// - Returns: How many.
    static func openDescriptors(below limit: Int = 4096) -> Int {
        (0..<Int32(limit)).count { fcntl($0, F_GETFD) >= 0 }
    }

    /// What a descriptor's number stands for, as long as it is open.
    struct Identity: Hashable, Sendable {
        let descriptor: Int32
        let inode: UInt64?
    }

    /// Looks a descriptor up (fstat): numbers are used again, inodes of sockets for a long time not.
    static func identity(of descriptor: Int32) -> Identity {
        var status = stat()
        let isOpen = unsafe fstat(descriptor, &status) == 0
        return Identity(descriptor: descriptor, inode: isOpen ? UInt64(status.st_ino) : nil)
    }

    /// Sets both limits of open files, for good.
    static func limitDescriptors(to count: Int) -> Bool {
        var limit = rlimit(rlim_cur: rlim_t(count), rlim_max: rlim_t(count))
        return unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
    }

    /// Processor time this process has used.
    static func processorTime() -> Duration {
        var time = timespec()
        unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}
