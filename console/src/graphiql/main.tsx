import { createGraphiQLFetcher } from '@graphiql/toolkit'
import { GraphiQL } from 'graphiql'
import 'graphiql/style.css'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import defaultQuery from './default.graphql?raw'
import './style.css'

// Same origin only: the page's Content-Security-Policy allows nothing else.
const fetcher = createGraphiQLFetcher({ url: '/graphql' })

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <GraphiQL fetcher={fetcher} defaultQuery={defaultQuery}>
      <GraphiQL.Logo>Factgate GraphiQL</GraphiQL.Logo>
    </GraphiQL>
  </StrictMode>,
)
