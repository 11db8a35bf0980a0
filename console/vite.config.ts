import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'

// strictCSP makes third-party code fit the policy that console.go sends:
// it drops from style sheets what would load a data: URI (fonts whole, other
// declarations singly), and fails the build when anything that the policy
// would block is left in what is emitted.
function strictCSP(): Plugin {
  const url = String.raw`url\(\s*(?:"data:[^"]*"|'data:[^']*'|data:[^)]*)\s*\)`
  const font = new RegExp(String.raw`@font-face\s*\{[^}]*?${url}[^}]*\}`, 'g')
  const declaration = new RegExp(String.raw`[\w-]+\s*:[^:;{}]*${url}[^;}]*;?`, 'g')
  return {
    name: 'strict-csp',
    enforce: 'pre',
    transform: {
      filter: { id: /\.css$/ },
      handler: (css) => ({ code: css.replace(font, '').replace(declaration, ''), map: null }),
    },
    generateBundle(_, bundle) {
      for (const [name, file] of Object.entries(bundle)) {
        const text = file.type === 'chunk' ? file.code : String(file.source)
        if (/\.(css|html)$/.test(name) && text.includes('data:')) {
          this.error(`${name} holds a data: URI, which the Content-Security-Policy blocks`)
        }
        // React's own mention of it, for <style> in JSX, goes another way.
        if (/\bdocument\.createElement\(\s*["'`]style["'`]/.test(text)) {
          this.error(`${name} creates <style> elements, which the Content-Security-Policy blocks`)
        }
      }
    },
  }
}

export default defineConfig({
  plugins: [strictCSP(), react()],
  resolve: {
    alias: { 'react-style-singleton': '/src/styleSingleton.ts' },
  },
  build: {
    target: 'es2023',
    assetsInlineLimit: 0, // never a data: URI
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1100, // kB; GraphiQL with its parsers
    license: { fileName: 'licenses.md' },
    rolldownOptions: {
      input: { graphiql: 'graphiql.html' },
      // "use no memo" speaks to a compiler that has already run.
      onLog: (level, log, handle) => log.code === 'MODULE_LEVEL_DIRECTIVE' || handle(level, log),
    },
  },
  server: {
    // `npm run dev` beside a running `factgate run`.
    proxy: { '/graphql': 'http://127.0.0.1:8080', '/api': 'http://127.0.0.1:8080' },
  },
})
