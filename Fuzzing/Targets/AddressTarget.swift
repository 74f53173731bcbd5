// Target `address`. Input: a flag (whether a default port is given) and a text.
// Passes when every text is either refused or names an endpoint whose own text names it again.

import SocketCore
import Sockets

func fuzzAddress(_ input: [UInt8]) {
    var script = ScriptReader(input)
    let flag = script.byte()
    let text = String(decoding: script.rest(), as: UTF8.self)
    let defaultPort: UInt16? = flag & 1 == 1 ? 443 : nil
    do throws(AddressParseError) {
        let endpoint = try AddressParser.parse(text, defaultPort: defaultPort)
        note(1, kind(of: endpoint))
        let again = try? AddressParser.parse(endpoint.description)
        require(again == endpoint, "\(text.debugDescription) -> \(endpoint) is read back")
        if case .address(let address) = endpoint { checkKernelForm(address) }
    } catch {
        note(2, error.description.utf8.count % 8)
    }
    checkPublicForm(text, defaultPort)
}

private func kind(of endpoint: Endpoint) -> Int {
    switch endpoint {
    case .address(.ip(.v4, _)): 0
    case .address(.ip(.v6(let ip), _)): ip.zone == nil ? 1 : 2
    case .address(.unix(let path)): path.utf8.first == 0 ? 3 : 4
    case .name(let name, _): name.isFullyQualified ? 5 : 6
    }
}

/// An address without a zone, which must exist, comes back from the kernel's form.
private func checkKernelForm(_ address: NetworkAddress) {
    if case .ip(.v6(let ip), _) = address, ip.zone != nil { return }
    guard let bytes = try? address.socketAddress() else {
        return require(false, "\(address) has a kernel form")
    }
    require(NetworkAddress(socketAddress: bytes) == address, "\(address) comes back")
}

/// The public type reads what it writes.
private func checkPublicForm(_ text: String, _ defaultPort: UInt16?) {
    guard let address = try? SocketAddress(parsing: text, defaultPort: defaultPort) else { return }
    let again = try? SocketAddress(parsing: address.description)
    require(again == address, "\(text.debugDescription) -> \(address) is read back")
}

func addressSeeds() -> [String: [UInt8]] {
    let texts = [
        "1.2.3.4:80", "[::1]:443", "[fe80::1%eth0]:443", "example.com:443", "unix:/run/a.sock",
        "unix:@name", "::1", "1.2.3.4", "[::ffff:1.2.3.4]:1", "a.b.", "xn--a_b-c.test:65535",
        "[2001:db8:0:0:1::]:0", "0x7f.1:80", "host:00080", "[::1]x", "unix:", "",
    ]
    var seeds: [String: [UInt8]] = [:]
    for (number, text) in texts.enumerated() {
        seeds["seed-\(number)"] = [UInt8(number % 2)] + Array(text.utf8)
    }
    return seeds
}
