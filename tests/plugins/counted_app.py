"""The endpoint with model processes that write down every text they compute."""

from serving import app, model_process

if __name__ == "__main__":
    model_process.MODULE = "plugins.faulty_worker"
    app.main()
