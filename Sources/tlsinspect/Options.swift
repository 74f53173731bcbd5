// How to connect and what to offer, and the readers of these values.

public import ArgumentParser
import Sockets
public import TLSInspection

/// Where to connect to, and how long to wait.
struct RouteOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Connect to this address instead.", valueName: "addr[:port]"))
    var connect: String?

    @Option(help: ArgumentHelp("Begin in the clear and ask for TLS.", valueName: "protocol"))
    var starttls: StartTLSProtocol?

    @Option(help: ArgumentHelp("Time for all of a connection.", valueName: "seconds"))
    var timeout = 10.0

    @Flag(name: [.customShort("4"), .customLong("ipv4")], help: "Use IPv4 only.")
    var ipv4 = false

    @Flag(name: [.customShort("6"), .customLong("ipv6")], help: "Use IPv6 only.")
    var ipv6 = false

    func validate() throws {
        guard timeout > 0, timeout <= 86400 else {
            throw ValidationError("--timeout is more than 0 and at most 86400 seconds.")
        }
        guard !(ipv4 && ipv6) else { throw ValidationError("-4 and -6 exclude each other.") }
    }

    /// The probe with the defaults that goes this way.
    ///
    /// - Parameters:
    ///   - host: `HOST[:PORT]`.
    ///   - saved: The protocol to begin with where no option says so.
    /// - Returns: The probe.
    /// - Throws: `ValidationError` for a text that cannot be read.
    func probe(of host: String, beginningWith saved: StartTLSProtocol? = nil) throws -> Probe {
        let starttls = starttls ?? saved
        let target = try address(host, defaultPort: starttls?.port ?? 443)
        return try Probe(target) { probe in
            probe.connect = try connect.map { try address($0, defaultPort: target.port) }
            probe.starttls = starttls
            probe.timeout = .seconds(timeout)
            probe.addressFamily = ipv4 ? .ipv4 : ipv6 ? .ipv6 : .any
        }
    }

    private func address(_ text: String, defaultPort: UInt16) throws -> SocketAddress {
        do throws(SocketError) {
            return try SocketAddress(parsing: text, defaultPort: defaultPort)
        } catch {
            throw ValidationError("\(error.detail ?? error.description).")
        }
    }
}

/// Whom to trust, and who one is.
struct TrustOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Trust these roots instead of the system's.", valueName: "file"))
    var ca: String?

    @Option(help: ArgumentHelp("Present this certificate chain.", valueName: "file"))
    var cert: String?

    @Option(
        help: ArgumentHelp("Its private key. (default: in the --cert file)", valueName: "file")
    )
    var key: String?

    func validate() throws {
        guard key == nil || cert != nil else { throw ValidationError("--key needs --cert.") }
    }

    /// Reads the files that the options name.
    ///
    /// - Throws: ``SocketError`` that names the file.
    func readFiles(into probe: inout Probe) throws(SocketError) {
        if let ca { probe.anchors = .certificates(try Certificate.read(file: ca)) }
        if let cert {
            probe.identity = try TLSIdentity(certificateFile: cert, privateKeyFile: key ?? cert)
        }
    }
}

/// How many connections there may be.
struct PaceOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Connections at once.", valueName: "n"))
    var jobs: Int?

    @Option(help: ArgumentHelp("Connections in a second; 0 is no limit.", valueName: "n"))
    var rate: Double?

    func validate() throws {
        guard (1...4096).contains(jobs ?? 1) else { throw ValidationError("--jobs is 1 to 4096.") }
        guard (0...1_000_000).contains(rate ?? 1) else {
            throw ValidationError("--rate is 0 to 1000000.")
        }
    }

    /// The rate that was asked for.
    ///
    /// - Parameter usual: What it is when none was given.
    /// - Returns: Connections in a second; nil is no limit.
    func rate(usual: Double?) -> Double? { rate.map { $0 == 0 ? nil : $0 } ?? usual }
}

/// How to connect and what to offer.
struct ConnectionOptions: ParsableArguments {
    @OptionGroup var route: RouteOptions

    @Option(
        help: ArgumentHelp(
            "Send this servername; - sends none. (default: HOST)",
            valueName: "name|-"
        )
    )
    var sni: String?

    @Option(
        help: ArgumentHelp("Offer these protocols, by commas; - offers none.", valueName: "list|-")
    )
    var alpn = "h2,http/1.1"

    @OptionGroup var trust: TrustOptions

    @Option(help: ArgumentHelp("Offer 1.2, 1.3, or both.", valueName: "1.2|1.3|1.2..1.3"))
    var tls: VersionRange = VersionRange(versions: .tls12 ... .tls13)

    func validate() throws {
        guard sni != "" else { throw ValidationError("--sni is a name, or - for none.") }
    }

    /// The probe that the options describe; files are read by ``TrustOptions/readFiles(into:)``.
    ///
    /// - Parameter host: `HOST[:PORT]`.
    /// - Returns: The probe, without what stands in files.
    /// - Throws: `ValidationError` for a text that cannot be read.
    func probe(of host: String) throws -> Probe {
        var probe = try route.probe(of: host)
        probe.servername = Probe.Servername(option: sni)
        probe.alpn = commaList(alpn)
        probe.versions = tls.versions
        return probe
    }
}

extension Probe.Servername {
    /// A servername as `--sni` has it: a name, a hyphen for none, or nothing for the target's.
    init(option: String?) { self = option.map { $0 == "-" ? .none : .name($0) } ?? .target }
}

/// The parts of a list by commas; a hyphen is a list of none.
func commaList(_ text: String) -> [String] {
    text == "-" ? [] : text.split(separator: ",").map(String.init)
}

/// A range of versions as `--tls` has it.
struct VersionRange: ExpressibleByArgument {
    var versions: ClosedRange<ProtocolVersion>

    init(versions: ClosedRange<ProtocolVersion>) { self.versions = versions }

    init?(argument: String) {
        switch argument {
        case "1.2", "1.2..1.2": versions = .tls12 ... .tls12
        case "1.3", "1.3..1.3": versions = .tls13 ... .tls13
        case "1.2..1.3": versions = .tls12 ... .tls13
        default: return nil
        }
    }

    var defaultValueDescription: String {
        versions.lowerBound == versions.upperBound
            ? (versions.lowerBound == .tls12 ? "1.2" : "1.3") : "1.2..1.3"
    }
}

extension Severity: ExpressibleByArgument {}
extension WatchOptions.ProxyForm: ExpressibleByArgument {}

extension StartTLSProtocol: ExpressibleByArgument {}
