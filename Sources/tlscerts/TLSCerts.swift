@main
struct TLSCerts {
    static func main() async {}
}
