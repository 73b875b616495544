"""The endpoint with model processes that hold no model."""

from serving import app, model_process

if __name__ == "__main__":
    model_process.MODULE = "plugins.quick_worker"
    app.main()
