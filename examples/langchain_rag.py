"""LangChain on gllm: passages into a vector store, the nearest ones into a prompt, an answer from them.

    gllm serve all-MiniLM-L6-v2 SmolLM2-135M-Instruct-GGUF
    pip install langchain-openai && python3 examples/langchain_rag.py "Why does ice float?" """
import os
import sys

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

server = {"base_url": os.environ.get("GLLM_URL", "http://127.0.0.1:8080") + "/v1", "api_key": os.environ.get("GLLM_API_KEY", "none")}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "passages.tsv"), encoding="utf-8") as file:
    passages = [line.rstrip("\n").split("\t")[2] for line in file]

# check_embedding_ctx_length=False: LangChain would else send ids of OpenAI's own tokenizer instead of texts.
embeddings = OpenAIEmbeddings(model="all-MiniLM-L6-v2", check_embedding_ctx_length=False, **server)
store = InMemoryVectorStore.from_texts(passages, embeddings)
retriever = store.as_retriever(search_kwargs={"k": 2})

prompt = ChatPromptTemplate.from_messages([("system", "Answer in one sentence, from these passages alone:\n{context}"), ("human", "{question}")])
model = ChatOpenAI(model="SmolLM2-135M-Instruct-GGUF", temperature=0, max_tokens=64, **server)
context = retriever | (lambda documents: "\n".join(document.page_content for document in documents))
chain = {"context": context, "question": RunnablePassthrough()} | prompt | model | StrOutputParser()

question = sys.argv[1] if len(sys.argv) > 1 else "How do bees tell each other where flowers are?"
print("Nearest:", retriever.invoke(question)[0].page_content)
for piece in chain.stream(question):
    print(piece, end="", flush=True)
print()
