@main struct TLSInspect { static func main() {} }
