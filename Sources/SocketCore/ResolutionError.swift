/// Why a name gave no addresses.
///
/// Equality looks at the code alone; the detail is text for people.
package struct ResolutionError: Error, Sendable {
    package enum Code: Hashable, Sendable {
        /// The name does not exist (EAI_NONAME).
        case notFound
        /// The name exists, without an address of the family asked for (EAI_NODATA,
        /// EAI_ADDRFAMILY).
        case noAddress
        /// The name servers did not answer; later they may (EAI_AGAIN).
        case temporaryFailure
        /// The name servers refused (EAI_FAIL).
        case permanentFailure
        /// The text is no host name.
        case invalidName
        /// No memory was left (EAI_MEMORY), or no thread could be started.
        case noMemory
        /// A system call failed (EAI_SYSTEM).
        case system(Errno)
        /// As many look-ups as the limit allows are waiting.
        case queueFull
        /// The calling task was cancelled.
        case cancelled
        /// Another EAI code.
        case other(Int32)
    }

    package let code: Code
    /// libc's sentence (gai_strerror), or ours.
    package let detail: String

    package init(_ code: Code, detail: String) {
        self.code = code
        self.detail = detail
    }
}

extension ResolutionError: Hashable {
    package static func == (left: Self, right: Self) -> Bool {
        left.code == right.code
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(code)
    }
}

extension ResolutionError: CustomStringConvertible {
    package var description: String {
        if case .system(let errno) = code {
            return "\(detail): \(errno) (\(errno.name))"
        }
        return detail
    }
}

/// The addresses a look-up asks for.
package enum AddressFamily: Hashable, Sendable, CaseIterable {
    case any
    case ipv4
    case ipv6
}
