// Stands in for the package react-style-singleton, with which Radix dialogs
// and menus lock the page's scrolling. The original inserts <style> elements,
// which our Content-Security-Policy refuses; a constructed style sheet does
// the same work through the CSSOM, which the policy allows.
import { useEffect } from 'react'

export function stylesheetSingleton() {
  let users = 0
  let sheet: CSSStyleSheet | null = null
  return {
    add(css: string) {
      if (users++ > 0) return
      sheet = new CSSStyleSheet()
      sheet.replaceSync(css)
      document.adoptedStyleSheets.push(sheet)
    },
    remove() {
      if (--users > 0) return
      document.adoptedStyleSheets = document.adoptedStyleSheets.filter((s) => s !== sheet)
      sheet = null
    },
  }
}

export function styleHookSingleton() {
  const sheet = stylesheetSingleton()
  return (css: string, dynamic = false) => {
    useEffect(() => {
      sheet.add(css)
      return () => sheet.remove()
    }, [css && dynamic])
  }
}

export function styleSingleton() {
  const useStyle = styleHookSingleton()
  return function Style({ styles, dynamic }: { styles: string; dynamic?: boolean }) {
    useStyle(styles, dynamic)
    return null
  }
}
