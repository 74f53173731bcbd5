import TLSEngine
import Testing

@testable import Sockets

@Suite struct ContextCacheTests {
    @Test("as many configurations are kept as the limit says, and the oldest goes for one more")
    func limit() throws {
        let cache = ContextCache<Int>(limit: 3)
        var made: [Int] = []
        func ask(_ key: Int) throws {
            _ = try cache.context(for: key) { () throws(SocketError) in
                made.append(key)
                do throws(TLSError) {
                    return try TLSContext(role: .client, trust: .acceptAnything(because: "test"))
                } catch {
                    throw .configuration(error)
                }
            }
        }
        for key in [1, 2, 3, 1, 2, 3] { try ask(key) }
        #expect(made == [1, 2, 3])
        for key in [4, 2, 3, 4] { try ask(key) }
        #expect(made == [1, 2, 3, 4])
        try ask(1)
        #expect(made == [1, 2, 3, 4, 1])
    }
}
