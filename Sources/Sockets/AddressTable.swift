// Which addresses are connected and how often they came, in bounded memory: a pure value.
//
// Connections are counted exactly, since they are bounded elsewhere. Of the buckets of tokens there are two
// generations of half the size each: when the younger is full the older goes, so that nothing ever has to
// be searched for, and what is forgotten is full again at worst.

import SocketCore

/// Counts connections by address.
struct AddressTable: Sendable {
    /// An address, or the part of it that tells clients apart.
    struct Key: Hashable, Sendable {
        private let isIPv6: Bool
        private let high: UInt64
        private let low: UInt64

        /// Nil for what is no IP address: peers of the same machine are not counted.
        init?(_ address: NetworkAddress, ipv6PrefixLength: Int) {
            switch address.ip {
            case nil: return nil
            case .v4(let ip)?: self.init(ip)
            case .v6(let ip)?:
                if let mapped = ip.mappedIPv4 {
                    self.init(mapped)
                    return
                }
                self.init(
                    isIPv6: true,
                    high: ip.high & Key.mask(ipv6PrefixLength),
                    low: ip.low & Key.mask(ipv6PrefixLength - 64)
                )
            }
        }

        private init(isIPv6: Bool, high: UInt64, low: UInt64) {
            self.isIPv6 = isIPv6
            self.high = high
            self.low = low
        }

        private init(_ ip: IPv4Address) {
            self.init(isIPv6: false, high: 0, low: UInt64(ip.number))
        }

        /// The first so many bits of 64.
        private static func mask(_ count: Int) -> UInt64 {
            count <= 0 ? 0 : count >= 64 ? .max : ~(UInt64.max >> UInt64(count))
        }
    }

    private struct Bucket {
        var tokens: Double
        var filledAt: LoopInstant
    }

    private let connectionsMax: Int
    private let rate: AdmissionPolicy.Rate?
    private let generationMax: Int
    private var open: [Key: Int] = [:]
    private var young: [Key: Bucket] = [:]
    private var old: [Key: Bucket] = [:]

    init(_ policy: AdmissionPolicy) {
        connectionsMax = policy.connectionsPerAddress ?? .max
        rate = policy.ratePerAddress
        generationMax = max(1, policy.addressesRemembered / 2)
    }

    /// Addresses that are remembered for their rate.
    var rememberedCount: Int { young.count + old.count }

    /// Addresses that are connected.
    var connectedCount: Int { open.count }

    /// Counts a connection, unless it is one too many.
    mutating func enter(_ key: Key, at now: LoopInstant) -> ListenerRefusal? {
        guard open[key, default: 0] < connectionsMax else { return .connectionsOfAddress }
        guard takeToken(key, at: now) else { return .rateOfAddress }
        open[key, default: 0] += 1
        return nil
    }

    /// Counts the end of a connection.
    mutating func leave(_ key: Key) {
        guard let count = open[key] else { return }
        open[key] = count > 1 ? count - 1 : nil
    }

    private mutating func takeToken(_ key: Key, at now: LoopInstant) -> Bool {
        guard let rate else { return true }
        let known = young[key] ?? old[key]
        var bucket = known ?? Bucket(tokens: Double(rate.burst), filledAt: now)
        let seconds = Double(now.nanoseconds &- bucket.filledAt.nanoseconds) / 1_000_000_000
        bucket.tokens = min(Double(rate.burst), bucket.tokens + seconds * rate.perSecond)
        bucket.filledAt = now
        let isGiven = bucket.tokens >= 1
        if isGiven { bucket.tokens -= 1 }
        if young[key] == nil, young.count >= generationMax {
            old = young
            young = [:]
        }
        young[key] = bucket
        return isGiven
    }
}
